import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog, createTestStore, LEASE_MS, openEngine } from "../../test/support/engine.ts";
import type { TaskStore } from "../store/store.ts";
import { createFollower, type Handle } from "./follower.ts";

const LONG_MS = 10_000;
const HOUR_MS = 3_600_000;

/** Processes on one store. Each follows the change log as `audit` and collects the ids of created tasks. */
function openWorld(around: (store: TaskStore) => TaskStore = (store) => store) {
  const clock = createManualClock();
  const { engine, store } = openEngine({ clock, store: createTestStore(clock), around });
  const handled: string[] = [];

  /** A whole follower. */
  function open(holder: string, { itsClock = clock, handle = noteCreated(holder) } = {}) {
    const log = createTestLog();
    const follower = createFollower({
      ...{ name: "audit", holder, leaseMs: LEASE_MS, engine, store, clock: itsClock, log, handle },
    });
    return { follower, log };
  }

  const noteCreated =
    (holder: string): Handle =>
    async (changes, signal) => {
      const created = changes.filter(({ kind }) => kind === "created");
      if (!signal.aborted) handled.push(...created.map(({ id }) => `${holder} ${id}`));
      return created.length > 0;
    };

  return {
    ...{ clock, engine, handled, open, noteCreated },
    create: (count: number) => engine.create(Array.from({ length: count }, () => ({ name: "x", type: "t" }))),
    /** The ids, in the order in which they were handled. */
    ids: (): number[] => handled.map((line) => Number(line.split(" ")[1])),
  };
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, at) => at + 1);

describe("a follower", () => {
  test("handles each change once and in order, page by page", async () => {
    const x = openWorld();
    const { follower } = x.open("a");
    await follower.start();
    await x.create(2_500);
    await x.clock.advance(LONG_MS);
    await x.create(1);
    await x.clock.advance(LONG_MS);
    expect(x.ids()).toEqual(upTo(2_501));
  });

  test("takes over within a lease when the holder dies: no page is lost or doubled", async () => {
    const x = openWorld();
    const dying = createManualClock();
    const works = x.noteCreated("dies");
    let isDead = false;
    const handle: Handle = (...page) => (isDead ? new Promise(() => undefined) : works(...page));
    await x.open("dies", { itsClock: dying, handle }).follower.start();
    await dying.advance(1);
    await x.open("lives").follower.start();
    await x.create(3);
    await x.clock.advance(1_000);
    isDead = true; // its clock stands still as well: it renews no lease
    await x.create(2);
    await x.clock.advance(LEASE_MS);
    expect(x.handled).toEqual(["dies 1", "dies 2", "dies 3", "lives 4", "lives 5"]);
  });

  test("backs off while the work fails, logs that once, and loses nothing", async () => {
    const x = openWorld();
    const tries: number[] = [];
    let isBroken = true;
    const works = x.noteCreated("a");
    const { follower, log } = x.open("a", {
      handle: async (...page) => {
        tries.push(x.clock.monotonic());
        if (isBroken) throw new Error("broken");
        return works(...page);
      },
    });
    await follower.start();
    await x.create(1);
    await x.clock.advance(HOUR_MS);
    const pauses = tries.slice(1).map((at, n) => at - (tries[n] ?? 0));
    expect(pauses.slice(0, 4)).toEqual([500, 1_000, 2_000, 4_000]);
    expect(new Set(pauses.slice(4))).toEqual(new Set([5_000]));
    isBroken = false;
    await x.clock.advance(LONG_MS);
    expect(x.ids()).toEqual([1]);
    expect(log.events).toEqual(["audit_failed", "audit_go_on"]);
  });

  test("continues with the oldest change when the log does not reach back", async () => {
    let isGone = false;
    const x = openWorld((store) => ({
      ...store,
      changes: async (after, limit) => {
        const page = await store.changes(after, limit);
        if (!isGone || after === null || limit === 1 || page.kind === "gone") return page;
        isGone = false;
        return { kind: "gone", oldest: { ...after, rev: after.rev + 2 }, position: page.position };
      },
    }));
    const { follower, log } = x.open("a");
    await follower.start();
    await x.clock.advance(LONG_MS);
    await follower.stop(0);
    await x.create(5);
    isGone = true;
    const next = x.open("b");
    await next.follower.start();
    await x.clock.advance(LONG_MS);
    expect(x.handled).toEqual(["b 3", "b 4", "b 5"]);
    expect([...log.events, ...next.log.events]).toEqual(["audit_missed"]);
  });

  test("handles the changes up to its stop, and releases the position", async () => {
    const x = openWorld();
    const { follower } = x.open("a");
    await follower.start();
    await x.clock.advance(1);
    await x.create(3);
    const stopped = follower.stop(LONG_MS);
    await x.clock.advance(1_000);
    await stopped;
    await x.create(1);
    await x.open("b").follower.start();
    await x.clock.advance(1_000);
    expect(x.handled).toEqual(["a 1", "a 2", "a 3", "b 4"]);
  });

  test("does not need the lease of another process to stop", async () => {
    const x = openWorld();
    const [holds, waits] = [x.open("holds"), x.open("waits")];
    await holds.follower.start();
    await x.clock.advance(1);
    await waits.follower.start();
    await x.clock.advance(1);
    const stopped = waits.follower.stop(HOUR_MS);
    await x.clock.advance(0);
    await stopped;
    expect(await holds.follower.stop(0)).toBeUndefined();
  });
});
