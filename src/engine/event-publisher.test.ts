import { describe, expect, test } from "bun:test";
import { createManualClock, type ManualClock, settled } from "../../test/support/clock.ts";
import { createTestLog, createTestStore, LEASE_MS, openEngine } from "../../test/support/engine.ts";
import type { EventOutput, TaskEvent } from "../broker/event-output.ts";
import type { Change, ChangePage, Position, TaskStore } from "../store/store.ts";
import { createEventPublisher } from "./event-publisher.ts";

const LONG_MS = 10_000;
const HOUR_MS = 3_600_000;
const STOP_WITHIN_MS = 2_000;

type Sent = { readonly by: string; readonly event: TaskEvent };

/** Processes on one store, and the broker to which they publish. The test can make each of them fail. */
function openWorld(around: (store: TaskStore) => TaskStore = (store) => store) {
  const clock = createManualClock();
  const stored = createTestStore(clock);
  const { engine, store } = openEngine({ clock, store: stored, around });
  const sent: Sent[] = [];
  const broker = { isAway: false, isSilent: false };

  const outputOf = (by: string): EventOutput => ({
    publish: async (events, signal) => {
      if (broker.isAway) throw new Error("the broker is away");
      sent.push(...events.map((event) => ({ by, event })));
      if (broker.isSilent) await rejectedBy(signal);
    },
    close: async () => undefined,
  });

  /** A process; `itsClock` and `itsStore` are given if they differ from those of the other processes. */
  function open(
    holder: string,
    { itsClock = clock as ManualClock, itsStore = store, output = outputOf(holder), leaseMs = LEASE_MS } = {},
  ) {
    const log = createTestLog();
    const publisher = createEventPublisher({
      ...{ engine, store: itsStore, output, holder, leaseMs, clock: itsClock, log },
    });
    return { publisher, log };
  }

  return {
    ...{ clock, engine, store, sent, broker, open },
    create: async (count = 1, type = "t"): Promise<number[]> => {
      const specs = Array.from({ length: count }, () => ({ name: "x", type }));
      const { tasks } = await engine.create(specs);
      return tasks.map(({ id }) => id);
    },
    /** The published events as text, in order. */
    published: (): string[] => sent.map(({ event: { event, id, version } }) => `${id} ${event} v${version}`),
    revs: async (): Promise<Position> => engine.position(),
  };
}

const rejectedBy = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(new Error("given up")));
  });

describe("the event publisher", () => {
  test("publishes each step of each task once, in order, with its type, also when it is deleted", async () => {
    const x = openWorld();
    const { publisher } = x.open("a");
    await publisher.start();
    const [id = 0] = await x.create();
    const [task] = await x.engine.claimNow({ worker: "w", types: ["*"], max: 1, leaseMs: LEASE_MS });
    await x.engine.settle(id, task?.token ?? "", { kind: "done", result: null });
    await x.clock.advance(LONG_MS);
    await x.engine.remove(id);
    await x.clock.advance(LONG_MS);
    expect(x.sent.map(({ event }) => event)).toEqual([
      { event: "task.created", id, type: "t", status: "pending", version: 1 },
      { event: "task.running", id, type: "t", status: "running", version: 2 },
      { event: "task.done", id, type: "t", status: "done", version: 3 },
      { event: "task.deleted", id, type: "t", status: "done", version: 3 },
    ]);
  });

  test("begins at the end that the log had at its first start", async () => {
    const x = openWorld();
    await x.create(3);
    const { publisher } = x.open("a");
    await publisher.start();
    await x.create();
    await x.clock.advance(LONG_MS);
    expect(x.published()).toEqual(["4 task.created v1"]);
  });

  test("publishes the changes between its start and the moment when it holds the position", async () => {
    const x = openWorld();
    const { publisher } = x.open("a");
    await publisher.start();
    await x.create(2_500);
    await x.clock.advance(LONG_MS);
    expect(x.published()).toEqual(Array.from({ length: 2_500 }, (_, at) => `${at + 1} task.created v1`));
  });

  test("does not publish progress", async () => {
    const x = openWorld();
    const { publisher } = x.open("a");
    await publisher.start();
    const [id = 0] = await x.create();
    const [task] = await x.engine.claimNow({ worker: "w", types: ["*"], max: 1, leaseMs: LEASE_MS });
    const progress = { percent: 5, message: "" };
    await x.engine.extend([{ id, token: task?.token ?? "", progress, log: [] }]);
    await x.clock.advance(LONG_MS);
    expect(x.published()).toEqual([`${id} task.created v1`, `${id} task.running v2`]);
  });

  test("publishes null as the type of a task that was deleted before its type was read", async () => {
    const x = openWorld();
    const { publisher } = x.open("a");
    await publisher.start();
    const [id = 0] = await x.create();
    await x.engine.remove(id);
    await x.clock.advance(LONG_MS);
    expect(x.sent.map(({ event }) => [event.event, event.type])).toEqual([
      ["task.created", null],
      ["task.deleted", null],
    ]);
  });

  test("reads types from the store once a page, and only the types that it does not know", async () => {
    let asked: number[] = [];
    const x = openWorld((store) => ({
      ...store,
      get: (ids) => {
        asked.push(ids.length);
        return store.get(ids);
      },
    }));
    const { publisher } = x.open("a");
    await publisher.start();
    await x.create(500);
    await x.clock.advance(LONG_MS);
    expect(asked).toEqual([500]);
    asked = [];
    await x.engine.claimNow({ worker: "w", types: ["*"], max: 500, leaseMs: LEASE_MS });
    await x.clock.advance(LONG_MS);
    expect([asked, x.sent.length]).toEqual([[], 1_000]);
  });
});

describe("of many processes", () => {
  test("one publishes", async () => {
    const x = openWorld();
    for (const holder of ["a", "b", "c"]) await x.open(holder).publisher.start();
    for (let n = 0; n < 5; n++) {
      await x.create(3);
      await x.clock.advance(LEASE_MS);
    }
    expect(x.sent).toHaveLength(15);
    expect(new Set(x.sent.map(({ by }) => by)).size).toBe(1);
  });

  test("another takes over within a lease when the holder dies, and loses nothing", async () => {
    const x = openWorld();
    const dying = createManualClock();
    await x.open("a", { itsClock: dying }).publisher.start();
    await settled();
    await x.open("b").publisher.start(); // the clock of the first process stands still from now on, so it renews no lease
    await x.create(10);
    await settled();
    x.broker.isAway = true; // the shared engine also wakes the reader of the dead process, which must not publish
    await x.clock.advance(20);
    x.broker.isAway = false;
    await x.clock.advance(LEASE_MS);
    expect(x.published()).toEqual(Array.from({ length: 10 }, (_, at) => `${at + 1} task.created v1`));
    expect(x.sent.every(({ by }) => by === "b")).toBe(true);
  });

  test("a crash between the broker's confirm and the write of the position publishes that page again, and no other", async () => {
    const x = openWorld();
    let isDead = false;
    const dead = (): Promise<never> => new Promise(() => undefined);
    const mortal: TaskStore = {
      ...x.store,
      writeDocuments: (...write) => (isDead ? dead() : x.store.writeDocuments(...write)),
    };
    const output: EventOutput = {
      publish: async (events) => {
        if (isDead) return dead();
        x.sent.push(...events.map((event) => ({ by: "a", event })));
        if (events.some(({ id }) => id === 3)) isDead = true;
      },
      close: async () => undefined,
    };
    await x.open("a", { itsStore: mortal, output }).publisher.start();
    await x.create(2);
    await x.clock.advance(LONG_MS);
    await x.open("b").publisher.start();
    await x.create(2);
    await x.clock.advance(LONG_MS);
    await x.create(2);
    await x.clock.advance(LEASE_MS);
    const by = (holder: string) => x.sent.filter((one) => one.by === holder).map(({ event }) => event.id);
    expect([by("a"), by("b")]).toEqual([
      [1, 2, 3, 4],
      [3, 4, 5, 6],
    ]);
  });

  test("a holder that was frozen past its lease publishes nothing more, and logs that once", async () => {
    const x = openWorld();
    const frozen = createManualClock();
    const awake = { ...frozen, monotonic: () => x.clock.monotonic() }; // its timers stand still, time does not
    const { publisher, log } = x.open("a", { itsClock: awake });
    await publisher.start();
    await x.create();
    await x.clock.advance(LONG_MS);
    await frozen.advance(LONG_MS / 2);
    expect(x.sent).toHaveLength(1);
    await x.clock.advance(2 * LEASE_MS);
    await x.create(); // its reader wakes before its timers
    await x.clock.advance(LONG_MS);
    expect(x.sent).toHaveLength(1);
    expect(log.events).toEqual(["events_failed"]);
  });

  test("a holder that stops releases the position, so that the next one need not wait for the lease", async () => {
    const x = openWorld();
    const first = x.open("a");
    await first.publisher.start();
    await x.clock.advance(LONG_MS);
    await x.open("b").publisher.start();
    await first.publisher.stop(STOP_WITHIN_MS);
    await x.create();
    await x.clock.advance(LEASE_MS / 3);
    expect(x.sent.map(({ by }) => by)).toEqual(["b"]);
  });

  test("the position of a dead holder is free after its lease, although the clock was set back by an hour", async () => {
    const x = openWorld();
    const itsClock = createManualClock(); // its timers stand still once it holds the position, so it publishes nothing
    const output: EventOutput = { publish: () => new Promise(() => undefined), close: async () => undefined };
    await x.open("a", { itsClock, output }).publisher.start();
    await itsClock.advance(0);
    x.clock.set(-HOUR_MS);
    await x.engine.sweep(); // detects that the clock was set
    await x.open("b").publisher.start();
    await x.create();
    await x.clock.advance(LEASE_MS - 1);
    expect(x.sent).toEqual([]);
    await x.clock.advance(LEASE_MS / 2);
    expect(x.sent.map(({ by }) => by)).toEqual(["b"]);
  });

  test("the position stays with a holder whose lease is longer than that of another process", async () => {
    const x = openWorld();
    await x.open("a", { leaseMs: 10 * LEASE_MS }).publisher.start();
    await x.clock.advance(LONG_MS);
    await x.open("b").publisher.start();
    for (let times = 0; times < 5; times++) {
      await x.clock.advance(2 * LEASE_MS);
      await x.create();
    }
    await x.clock.advance(LEASE_MS);
    expect(x.sent.map(({ by }) => by)).toEqual(["a", "a", "a", "a", "a"]);
  });

  test("the position stays with a live holder when the clock is set back", async () => {
    const x = openWorld();
    await x.open("a").publisher.start();
    await x.clock.advance(LONG_MS);
    await x.open("b").publisher.start();
    x.clock.set(-HOUR_MS);
    await x.engine.sweep(); // detects that the clock was set
    for (let times = 0; times < 5; times++) {
      await x.clock.advance(LEASE_MS);
      await x.create();
    }
    await x.clock.advance(LEASE_MS);
    expect(x.sent.map(({ by }) => by)).toEqual(["a", "a", "a", "a", "a"]);
  });
});

describe("stopping", () => {
  test("publishes the changes up to that moment", async () => {
    const x = openWorld();
    const { publisher } = x.open("a");
    await publisher.start();
    await x.clock.advance(LONG_MS);
    await x.create(1_500);
    const stopping = publisher.stop(STOP_WITHIN_MS);
    await x.clock.advance(STOP_WITHIN_MS);
    await stopping;
    expect(x.sent).toHaveLength(1_500);
  });

  test("waits for a broker that does not answer only for the given time", async () => {
    const x = openWorld();
    const { publisher } = x.open("a");
    await publisher.start();
    await x.clock.advance(LONG_MS);
    x.broker.isSilent = true;
    await x.create();
    let isStopped = false;
    const stopping = publisher.stop(STOP_WITHIN_MS).then(() => {
      isStopped = true;
    });
    await x.clock.advance(STOP_WITHIN_MS - 1);
    expect(isStopped).toBe(false);
    await x.clock.advance(1);
    await stopping;
    await publisher.stop(STOP_WITHIN_MS);
  });
});

describe("when the broker fails", () => {
  test("nothing is lost, the failure is logged once, and so is its end", async () => {
    const x = openWorld();
    const { publisher, log } = x.open("a");
    await publisher.start();
    x.broker.isAway = true;
    await x.create(3);
    await x.clock.advance(60_000);
    x.broker.isAway = false;
    await x.clock.advance(LONG_MS);
    expect(x.published()).toEqual(["1 task.created v1", "2 task.created v1", "3 task.created v1"]);
    expect(log.events).toEqual(["events_failed", "events_go_on"]);
  });

  test("it is tried again after a delay that grows to five seconds", async () => {
    const x = openWorld();
    const tries: number[] = [];
    const output: EventOutput = {
      publish: async () => {
        tries.push(x.clock.monotonic());
        throw new Error("the broker is away");
      },
      close: async () => undefined,
    };
    const { publisher } = x.open("a", { output });
    await publisher.start();
    await x.create();
    await x.clock.advance(60_000);
    const gaps = tries.slice(1).map((at, n) => at - (tries[n] ?? 0));
    expect(gaps.slice(0, 6)).toEqual([500, 1_000, 2_000, 4_000, 5_000, 5_000]);
  });

  test("the position is free meanwhile for a process whose broker answers", async () => {
    const x = openWorld();
    const broken: EventOutput = {
      publish: () => Promise.reject(new Error("this process cannot reach the broker")),
      close: async () => undefined,
    };
    await x.open("a", { output: broken }).publisher.start();
    await settled();
    await x.open("b").publisher.start();
    await x.create();
    await x.clock.advance(2 * LEASE_MS);
    expect(x.sent.map(({ by }) => by)).toEqual(["b"]);
  });

  test("a page that the broker does not confirm in time is published again", async () => {
    const x = openWorld();
    const { publisher, log } = x.open("a");
    await publisher.start();
    x.broker.isSilent = true;
    await x.create();
    await x.clock.advance(12_000);
    expect(log.events).toEqual(["events_failed"]);
    x.broker.isSilent = false;
    await x.clock.advance(12_000);
    expect(new Set(x.published())).toEqual(new Set(["1 task.created v1"]));
    expect(log.events).toEqual(["events_failed", "events_go_on"]);
  });
});

/** A store whose change log can get a new epoch, and can lose its latest entries at the same time. */
function createLosing(store: TaskStore) {
  const kept: Change[] = [];
  let epoch = "first";
  let read: Position | null = null;

  async function catchUp(): Promise<void> {
    read ??= { epoch: "test", rev: 0 };
    const page = await store.changes(read, 10_000);
    if (page.kind === "gone") throw new Error("expected the test store to keep all changes");
    kept.push(...page.changes.map((change, at) => ({ ...change, rev: kept.length + at + 1 })));
    read = page.position;
  }

  async function changes(after: Position | null, limit: number): Promise<ChangePage> {
    await catchUp();
    const end = { epoch, rev: kept.length };
    if (after === null) return { kind: "changes", changes: [], position: end };
    if (after.epoch !== epoch || after.rev > end.rev) {
      return { kind: "gone", position: end, oldest: { epoch, rev: 0 } };
    }
    const page = kept.slice(after.rev, after.rev + limit);
    return { kind: "changes", changes: page, position: { epoch, rev: after.rev + page.length } };
  }

  return {
    store: { ...store, changes },
    /** All changes after this rev are lost. */
    beginEpoch: async (name: string, upTo = Number.POSITIVE_INFINITY): Promise<void> => {
      await catchUp();
      kept.length = Math.min(kept.length, upTo);
      epoch = name;
    },
  };
}

function openLosingWorld() {
  let losing: ReturnType<typeof createLosing> | null = null;
  const x = openWorld((store) => {
    losing = createLosing(store);
    return losing.store;
  });
  if (losing === null) throw new Error("expected the store to be wrapped");
  const { beginEpoch }: ReturnType<typeof createLosing> = losing;
  return { ...x, beginEpoch };
}

describe("when the change log gets a new epoch", () => {
  test("the changes that were not published yet are published, and the new epoch is logged once", async () => {
    const x = openLosingWorld();
    const { publisher, log } = x.open("a");
    await publisher.start();
    await x.create(2);
    await x.clock.advance(LONG_MS);
    x.broker.isAway = true;
    await x.create(2);
    await x.clock.advance(LONG_MS);
    await x.beginEpoch("second");
    await x.create();
    await x.clock.advance(LONG_MS);
    x.broker.isAway = false;
    await x.clock.advance(LONG_MS);
    expect(new Set(x.published())).toEqual(new Set([1, 2, 3, 4, 5].map((id) => `${id} task.created v1`)));
    expect(log.events).toEqual(["events_failed", "events_new_epoch", "events_go_on"]);
  });

  test("a process that takes over afterwards also continues", async () => {
    const x = openLosingWorld();
    const first = x.open("a");
    await first.publisher.start();
    await x.create(2);
    await x.clock.advance(LONG_MS);
    await first.publisher.stop(STOP_WITHIN_MS);
    await x.create(2);
    await x.beginEpoch("second");
    await x.open("b").publisher.start();
    await x.create();
    await x.clock.advance(LONG_MS);
    const by = (holder: string) => x.sent.filter((one) => one.by === holder).map(({ event }) => event.id);
    expect(by("a")).toEqual([1, 2]);
    expect(new Set(by("b")).isSupersetOf(new Set([3, 4, 5]))).toBe(true);
  });

  test("a page that was published while the log lost it does not hide the changes that get its revs", async () => {
    const x = openLosingWorld();
    let lose = async (): Promise<void> => undefined;
    const output: EventOutput = {
      publish: async (events) => {
        x.sent.push(...events.map((event) => ({ by: "a", event })));
        await lose();
      },
      close: async () => undefined,
    };
    await x.open("a", { output }).publisher.start();
    await x.create(3);
    await x.clock.advance(LONG_MS);
    lose = async () => {
      lose = async () => undefined;
      await x.beginEpoch("second", 3); // 4 and 5 are published, and lost
      await x.create(2);
    };
    await x.create(2);
    await x.clock.advance(LONG_MS);
    const repeated = [1, 2, 3]; // from the second to last write of the position
    expect(x.sent.map(({ event }) => event.id)).toEqual([1, 2, 3, 4, 5, ...repeated, 6, 7]);
  });

  test("a position that version 0.1.0 has written is valid", async () => {
    const x = openLosingWorld();
    await x.create(3);
    const value = JSON.stringify({ epoch: "zeroth", rev: 2, holder: null, until: 0 });
    await x.store.writeDocuments(
      [{ name: "cursor/events", value, until: x.clock.now() + LONG_MS }],
      x.clock.now(),
    );
    await x.open("a").publisher.start();
    await x.clock.advance(LONG_MS);
    expect(x.published()).toEqual(["3 task.created v1"]);
  });

  test("the whole log of a store that was emptied is published", async () => {
    const x = openLosingWorld();
    await x.open("a").publisher.start();
    await x.create(2);
    await x.clock.advance(LONG_MS);
    await x.store.writeDocuments([{ name: "cursor/events", value: null, until: 0 }], x.clock.now());
    await x.beginEpoch("second", 0);
    await x.create(2);
    await x.clock.advance(LONG_MS);
    expect(x.published().slice(2)).toEqual(["3 task.created v1", "4 task.created v1"]);
  });
});

describe("when the store fails", () => {
  test("a change log that does not reach back is logged, and the publisher continues with its oldest change", async () => {
    let oldest = 0; // earlier changes are not kept
    const x = openWorld((store) => ({
      ...store,
      changes: async (after, limit): Promise<ChangePage> => {
        if (after === null || after.rev >= oldest) return store.changes(after, limit);
        const { position } = await store.changes(null, 1);
        return { kind: "gone", position, oldest: { ...position, rev: oldest } };
      },
    }));
    const first = x.open("a");
    await first.publisher.start();
    await x.clock.advance(LONG_MS);
    await first.publisher.stop(STOP_WITHIN_MS);
    await x.create(2);
    oldest = 1;
    const { publisher, log } = x.open("b");
    await publisher.start();
    await x.clock.advance(LONG_MS);
    await x.create();
    await x.clock.advance(LONG_MS);
    expect(x.published()).toEqual(["2 task.created v1", "3 task.created v1"]);
    expect(log.events).toEqual(["events_missed"]);
  });

  test("an outage of the store loses no event", async () => {
    let isAway = false;
    const guarded =
      <Args extends unknown[], Answer>(call: (...args: Args) => Promise<Answer>) =>
      (...args: Args): Promise<Answer> =>
        isAway ? Promise.reject(new Error("the store is away")) : call(...args);
    const x = openWorld((store) => ({
      ...store,
      changes: guarded(store.changes),
      get: guarded(store.get),
      readDocuments: guarded(store.readDocuments),
      writeDocuments: guarded(store.writeDocuments),
    }));
    const { publisher } = x.open("a");
    await publisher.start();
    await x.create();
    await x.clock.advance(LONG_MS);
    await x.create();
    isAway = true;
    await x.clock.advance(2 * LEASE_MS);
    expect(x.sent).toHaveLength(1);
    isAway = false;
    await x.clock.advance(LONG_MS);
    expect(x.published()).toEqual(["1 task.created v1", "2 task.created v1"]);
  });
});
