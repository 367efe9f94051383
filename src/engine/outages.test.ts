import { describe, expect, test } from "bun:test";
import { createManualClock, type ManualClock } from "../../test/support/clock.ts";
import { openEngine } from "../../test/support/engine.ts";
import { ask, claim, codeOf, create, DONE, HOUR_MS, NEVER } from "../../test/support/verbs.ts";
import { TaskError } from "../core/error.ts";
import { CANCEL_GRACE_MS } from "../core/lease.ts";
import type { RunningTask, TaskId } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";
import type { Engine } from "./engine.ts";

const SECOND = 1_000;
const LEASE_MS = 30 * SECOND;
/** The lease of workers on other hosts, far longer than the lease of the server's own workers. */
const LONG_MS = 300 * SECOND;

const beatOf = ({ id, token }: RunningTask) => ({ id, token, progress: null, log: [] });

/** An engine whose rounds run, and that started so long ago that the start no longer matters. */
async function openStarted(around?: (store: TaskStore) => TaskStore) {
  const opened = openEngine({ clock: createManualClock(), ...(around === undefined ? {} : { around }) });
  await opened.engine.start();
  await opened.clock.advance(HOUR_MS);
  return opened;
}

async function take(engine: Engine, leaseMs: number): Promise<RunningTask> {
  await create(engine);
  const { tasks } = await engine.claim(ask({ leaseMs }), NEVER);
  return tasks[0] as RunningTask; // one task is due
}

/**
 * A live worker: sends a heartbeat every third of its lease, and one second after a failed one. `stop` ends it and returns the answers that
 * it received.
 */
function keepBeating(engine: Engine, clock: ManualClock, task: RunningTask) {
  const answers: string[] = [];
  const beatEveryMs = task.lease.leaseMs / 3;
  let cancel = clock.after(beatEveryMs, beat);
  function beat(): void {
    engine.extend([beatOf(task)]).then(
      ([answer]) => {
        answers.push(String(answer));
        cancel = clock.after(beatEveryMs, beat);
      },
      () => {
        answers.push("failed");
        cancel = clock.after(Math.min(SECOND, beatEveryMs), beat);
      },
    );
  }
  return {
    stop: (): string[] => {
      cancel();
      return answers;
    },
  };
}

const lossesOf = async (engine: Engine, id: TaskId): Promise<number> => (await engine.get(id)).losses;

/** The number of milliseconds until the task is counted as lost. */
async function lostAfter({ engine, clock }: { engine: Engine; clock: ManualClock }, id: TaskId) {
  for (let ms = 0; ms <= HOUR_MS; ms += 100) {
    if ((await lossesOf(engine, id)) > 0) return ms;
    await clock.advance(100);
  }
  throw new Error("expected the lease to be found lost within an hour");
}

describe.each([LEASE_MS, LONG_MS, SECOND])("a lease of %i ms", (leaseMs) => {
  describe.each([
    ["forward by an hour", HOUR_MS],
    ["forward by a lease", leaseMs],
    ["back by an hour", -HOUR_MS],
    ["back by a lease", -leaseMs],
  ])("when the clock is set %s", (_how, byMs) => {
    test("stays with a live worker, also if the clock is set several times", async () => {
      const { engine, clock } = await openStarted();
      const task = await take(engine, leaseMs);
      const worker = keepBeating(engine, clock, task);
      for (let times = 0; times < 4; times++) {
        await clock.advance(leaseMs * 1.7);
        clock.set(byMs);
      }
      await clock.advance(4 * leaseMs);
      expect(new Set(worker.stop())).toEqual(new Set(["ok"]));
      expect(await engine.get(task.id)).toMatchObject({ status: "running", losses: 0, version: 2 });
      await engine.close();
    });

    test("is soon counted as lost if the worker is dead", async () => {
      const opened = await openStarted();
      const { engine, clock } = opened;
      const task = await take(engine, leaseMs);
      await clock.advance(leaseMs / 2);
      clock.set(byMs);
      expect(await lostAfter(opened, task.id)).toBeLessThan(leaseMs * 2 + 5 * SECOND);
      await engine.close();
    });
  });

  test("is kept through a freeze of the server for three leases, if its worker sends heartbeats", async () => {
    const { engine, clock } = await openStarted();
    const task = await take(engine, leaseMs);
    const worker = keepBeating(engine, clock, task);
    for (let times = 0; times < 4; times++) {
      await clock.advance(leaseMs * 1.3);
      await clock.stall(3 * leaseMs);
    }
    await clock.advance(4 * leaseMs);
    expect(new Set(worker.stop())).toEqual(new Set(["ok"]));
    expect(await lossesOf(engine, task.id)).toBe(0);
    await engine.close();
  });

  test("is counted as lost soon after a freeze if its worker is dead", async () => {
    const opened = await openStarted();
    const { engine, clock } = opened;
    const task = await take(engine, leaseMs);
    await clock.stall(3 * leaseMs);
    const lost = await lostAfter(opened, task.id);
    expect(lost).toBeGreaterThanOrEqual(leaseMs / 2);
    expect(lost).toBeLessThan(leaseMs / 2 + 2 * SECOND);
    await engine.close();
  });

  test("is kept through an outage of the store for three leases", async () => {
    let isAway = false;
    const away = () => Promise.reject(new TaskError("store_unavailable", "Away"));
    const { engine, clock } = await openStarted((store) => ({
      ...store,
      now: () => (isAway ? away() : store.now()),
      list: (query) => (isAway ? away() : store.list(query)),
      extend: (beats, now) => (isAway ? away() : store.extend(beats, now)),
    }));
    const task = await take(engine, leaseMs);
    const worker = keepBeating(engine, clock, task);
    for (let times = 0; times < 4; times++) {
      await clock.advance(leaseMs * 1.3);
      isAway = true;
      await clock.advance(3 * leaseMs);
      isAway = false;
    }
    await clock.advance(4 * leaseMs);
    expect(new Set(worker.stop())).toEqual(new Set(["ok", "failed"]));
    expect(await lossesOf(engine, task.id)).toBe(0);
    await engine.close();
  });

  test("is kept while the store refuses heartbeats, although it answers all other calls", async () => {
    let isFull = false;
    const { engine, clock } = await openStarted((store) => ({
      ...store,
      extend: (beats, now) =>
        isFull ? Promise.reject(new TaskError("store_unavailable", "Disk full")) : store.extend(beats, now),
    }));
    const task = await take(engine, leaseMs);
    const worker = keepBeating(engine, clock, task);
    await clock.advance(leaseMs);
    isFull = true;
    await clock.advance(3 * leaseMs);
    isFull = false;
    await clock.advance(4 * leaseMs);
    worker.stop();
    expect(await lossesOf(engine, task.id)).toBe(0);
    await engine.close();
  });

  test("is kept through a restart of the server", async () => {
    const { engine: before, store, clock } = openEngine();
    const task = await take(before, leaseMs);
    await clock.advance(3 * leaseMs);
    const { engine } = openEngine({ store, clock });
    await engine.start();
    const worker = keepBeating(engine, clock, task);
    await clock.advance(4 * leaseMs);
    expect(new Set(worker.stop())).toEqual(new Set(["ok"]));
    expect(await lossesOf(engine, task.id)).toBe(0);
    await engine.close();
  });

  test("of a dead worker is counted as lost by a server that is late at every round", async () => {
    const { engine, clock } = await openStarted();
    const task = await take(engine, leaseMs);
    let ms = 0;
    for (; (await lossesOf(engine, task.id)) === 0 && ms < 10 * leaseMs + 10 * SECOND; ms += 2_500) {
      await clock.advance(1_000);
      await clock.stall(1_500);
    }
    expect(ms).toBeLessThan(3 * leaseMs + 10 * SECOND);
    await engine.close();
  });
});

describe("a clock that is set", () => {
  test("forward lets a later result count, although the lease seems to be over for long", async () => {
    const { engine, clock } = await openStarted();
    const id = await create(engine);
    const { token } = await claim(engine);
    clock.set(HOUR_MS);
    await clock.advance(2 * SECOND);
    expect(await codeOf(engine.settle(id, token, DONE))).toBe("ok");
    expect((await engine.get(id)).status).toBe("done");
    await engine.close();
  });

  test("is logged", async () => {
    const { engine, clock, log } = await openStarted();
    expect(log.events).toEqual([]);
    clock.set(-HOUR_MS);
    await clock.advance(2 * SECOND);
    expect(log.logged).toContainEqual({
      level: "warn",
      event: "store_clock_set",
      fields: { by_ms: -HOUR_MS },
    });
    await engine.close();
  });

  test("back leaves no lease longer than its worker knows", async () => {
    const { engine, clock } = await openStarted();
    const task = await take(engine, LEASE_MS);
    clock.set(-HOUR_MS);
    await clock.advance(2 * SECOND);
    await engine.extend([beatOf(task)]);
    expect((await engine.get(task.id)).lease?.until).toBe(engine.now() + LEASE_MS);
    await engine.close();
  });

  test.each([
    ["forward", HOUR_MS],
    ["back", -HOUR_MS],
  ])("%s leaves a cancel request some of its grace, and ends it", async (_how, byMs) => {
    const { engine, clock } = await openStarted();
    const task = await take(engine, LEASE_MS);
    await engine.cancel(task.id);
    await clock.advance(SECOND);
    clock.set(byMs);
    const worker = keepBeating(engine, clock, task); // it continues to send heartbeats after the answer `cancel`
    await clock.advance(LEASE_MS / 3);
    expect((await engine.get(task.id)).status).toBe("running");
    await clock.advance(CANCEL_GRACE_MS);
    expect((await engine.get(task.id)).status).toBe("cancelled");
    expect(worker.stop()).toContain("cancel");
    await engine.close();
  });

  test("forward or back under two processes on the store costs no lease of either, in any order of their rounds", async () => {
    const { engine, clock, store } = await openStarted();
    const other = openEngine({ clock, store });
    await clock.advance(400); // their rounds run at different times
    await other.engine.start();
    await clock.advance(HOUR_MS);
    for (const byMs of [HOUR_MS, -HOUR_MS, 10 * SECOND, -10 * SECOND]) {
      clock.set(byMs);
      const tasks: RunningTask[] = [];
      const workers: ReturnType<typeof keepBeating>[] = [];
      for (let ms = 0; ms < 1_500; ms += 100) {
        const through = ms % 200 === 0 ? engine : other.engine;
        const task = await take(through, ms % 300 === 0 ? SECOND : LEASE_MS);
        tasks.push(task);
        workers.push(keepBeating(through, clock, task));
        await clock.advance(100);
      }
      await clock.advance(3 * LEASE_MS);
      expect(new Set(workers.flatMap((worker) => worker.stop()))).toEqual(new Set(["ok"]));
      for (const { id, token } of tasks) await engine.settle(id, token, DONE);
    }
    await engine.close();
    await other.engine.close();
  });

  test("back leaves no lease of an hour, also if a process was killed before it noticed the change", async () => {
    const opened = await openStarted();
    const { engine, clock, store } = opened;
    const other = openEngine({ clock, store }); // its rounds never run: it is killed before it notices the change of the clock
    await other.engine.sweep();
    clock.set(-HOUR_MS);
    await clock.advance(2 * SECOND);
    const task = await take(other.engine, LEASE_MS);
    expect(task.lease.until).toBeGreaterThan(engine.now() + HOUR_MS);
    expect(await lostAfter(opened, task.id)).toBeLessThan(2 * LEASE_MS);
    await engine.close();
  });
});

test("a long lease is kept through the restart of a server that is then late at every round", async () => {
  const { engine: before, store, clock } = openEngine();
  const task = await take(before, LONG_MS);
  await clock.advance(3 * LONG_MS);
  const { engine } = openEngine({ store, clock });
  await engine.start();
  const worker = keepBeating(engine, clock, task);
  for (let ms = 0; ms < LONG_MS; ms += 1_500) {
    await clock.advance(500);
    await clock.stall(1_000);
  }
  expect(new Set(worker.stop())).toEqual(new Set(["ok"]));
  expect(await lossesOf(engine, task.id)).toBe(0);
  await engine.close();
});

test("the grace of a cancel request is judged by its own length, not by a lease that is far longer", async () => {
  const { engine, clock } = openEngine();
  const task = await take(engine, LONG_MS);
  await engine.cancel(task.id);
  await clock.advance(CANCEL_GRACE_MS);
  await engine.sweep();
  expect((await engine.get(task.id)).status).toBe("cancelled");
});

test("a thousand leases that may not be judged yet do not hide another one", async () => {
  const { engine: before, store, clock } = openEngine();
  await before.create(new Array(1_000).fill({ name: "n", type: "long" }));
  await before.create([
    { name: "n", type: "long" },
    { name: "n", type: "short" },
  ]);
  for (let at = 0; at < 2; at++) {
    await before.claim(ask({ types: ["long"], max: 1_000, leaseMs: LONG_MS }), NEVER);
  }
  const { tasks } = await before.claim(ask({ types: ["short"], leaseMs: SECOND }), NEVER);
  await clock.advance(2 * LONG_MS);
  const { engine } = openEngine({ store, clock });
  await engine.start();
  await clock.advance(5 * SECOND);
  expect(await lossesOf(engine, tasks[0]?.id ?? Number.NaN)).toBe(1);
  expect(await engine.count({ statuses: ["running"] })).toBe(1_001);
  await engine.close();
});
