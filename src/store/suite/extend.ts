import { expect } from "bun:test";
import { CANCEL_GRACE_MS } from "../../core/lease.ts";
import { cancel, expire, extend, retry } from "../../core/lifecycle.ts";
import { ENDED_STATUSES, type RunningTask } from "../../core/task.ts";
import type { BeatAnswer } from "../store.ts";
import {
  asRunning,
  beatOf,
  DONE,
  type Exam,
  type Examinee,
  FAILED,
  HOUR_MS,
  LEASE_MS,
  nth,
  only,
  RELEASED,
} from "./examinee.ts";

const HALF = { percent: 50, message: "half" };
const LINE = { level: "info", message: "a line" } as const;

/** A heartbeat with progress and a log line, so that one that should be lost would leave traces. */
const extendWithContent = ({ beat }: Examinee, task: RunningTask, at: number): Promise<BeatAnswer> =>
  beat(task, at, { progress: HALF, log: [LINE] });

/** The heartbeat is lost and the task, if there is one, is unchanged. */
async function expectLost(x: Examinee, task: RunningTask, at: number): Promise<void> {
  const [before] = await x.store.get([task.id]);
  const log = await x.store.readLog(task.id, 0);
  expect(await extendWithContent(x, task, at)).toBe("lost");
  expect(await x.store.get([task.id])).toEqual([before ?? null]);
  expect(await x.store.readLog(task.id, 0)).toEqual(log);
}

export function examineExtend(exam: Exam): void {
  exam("an extended lease equals the result of lifecycle.extend", async ({ run, beat, see, t }) => {
    const running = await run({}, { leaseMs: 12_345 });
    expect(await beat(running, t + 5_000)).toBe("ok");
    const extended = extend(running, { token: running.token, progress: null }, t + 5_000);
    expect(await see(running.id)).toStrictEqual(extended);
    expect(extended.lease.until).toBe(t + 17_345);
  });

  exam(
    "a heartbeat does not change the version and the time of the last change",
    async ({ run, beat, see, t }) => {
      const running = await run();
      await beat(running, t + 5_000, { progress: HALF, log: [LINE] });
      const { version, updatedAt } = await see(running.id);
      expect({ version, updatedAt }).toEqual({ version: running.version, updatedAt: running.updatedAt });
    },
  );

  exam(
    "a lease's end rises with every heartbeat, although the clock stands still or goes back",
    async (x) => {
      let task = await x.run();
      for (const at of [x.t, x.t, x.t - 5_000, x.t + 1, x.t + 1]) {
        expect(await x.beat(task, at)).toBe("ok");
        const extended = extend(task, { token: task.token, progress: null }, at);
        expect(extended.lease.until).toBeGreaterThan(task.lease.until);
        expect(await x.see(task.id)).toStrictEqual(extended);
        task = extended;
      }
    },
  );

  exam("progress is stored with the heartbeat", async ({ run, beat, see, t }) => {
    const running = await run();
    await beat(running, t + 1, { progress: HALF });
    expect((await see(running.id)).progress).toEqual(HALF);
  });

  exam("a heartbeat without progress keeps the earlier progress", async ({ run, beat, see, t }) => {
    const running = await run();
    await beat(running, t + 1, { progress: HALF });
    await beat(running, t + 2);
    expect((await see(running.id)).progress).toEqual(HALF);
  });

  exam(
    "later progress replaces earlier progress, also with a lower percentage",
    async ({ run, beat, see, t }) => {
      const running = await run();
      for (const percent of [50, 70, 0]) {
        await beat(running, t + 1, { progress: { percent, message: "" } });
        expect((await see(running.id)).progress).toEqual({ percent, message: "" });
      }
    },
  );

  // ---- cancel

  exam("a heartbeat is answered with a cancel request, and still carried out", async (x) => {
    const running = await x.run();
    const asked = await x.step(running, cancel(running, x.t + 1));
    expect(await extendWithContent(x, running, x.t + 2)).toBe("cancel");
    const extended = extend(asked, { token: running.token, progress: HALF }, x.t + 2);
    expect(await x.see(running.id)).toStrictEqual(extended);
    expect((await x.store.readLog(running.id, 0)).length).toBe(1);
  });

  exam("every heartbeat is answered with the cancel request, also after its grace", async (x) => {
    const running = await x.run();
    await x.step(running, cancel(running, x.t));
    for (const at of [x.t + 1, x.t + LEASE_MS - 1, x.t + CANCEL_GRACE_MS, x.t + CANCEL_GRACE_MS + 1]) {
      expect(await x.beat(running, at)).toBe("cancel");
    }
  });

  // ---- lost

  exam("a lease can be extended up to its last millisecond", async ({ run, beat, t }) => {
    expect(await beat(await run(), t + LEASE_MS - 1)).toBe("ok");
  });

  exam("a lease can be extended after its end until it is judged, with progress and log lines", async (x) => {
    for (const late of [0, 1, 10 * HOUR_MS]) {
      const running = await x.run();
      const at = x.t + LEASE_MS + late;
      expect(await extendWithContent(x, running, at)).toBe("ok");
      const extended = extend(running, { token: running.token, progress: HALF }, at);
      expect(await x.see(running.id)).toStrictEqual(extended);
      expect(extended.lease.until).toBe(at + LEASE_MS);
      expect((await x.store.readLog(running.id, 0)).length).toBe(1);
    }
  });

  exam("a heartbeat without content also renews a lease after its end", async (x) => {
    const running = await x.run();
    expect(await x.beat(running, x.t + LEASE_MS)).toBe("ok");
    expect((await x.see(running.id)).lease?.until).toBe(x.t + 2 * LEASE_MS);
  });

  exam("a lease that was judged lost cannot be extended", async (x) => {
    const running = await x.run();
    await x.step(running, expire(running, x.t + LEASE_MS));
    await expectLost(x, running, x.t + LEASE_MS);
  });

  exam("the loss of a lease is stale if a late heartbeat came before it", async (x) => {
    const running = await x.run();
    await x.beat(running, x.t + LEASE_MS);
    expect(await x.write(running, expire(running, x.t + LEASE_MS))).toBe("stale");
    expect((await x.see(running.id)).status).toBe("running");
  });

  // ---- the clock was set back

  exam("a heartbeat moves an end that is too far ahead back to one length from now", async (x) => {
    for (const content of [{}, { progress: HALF, log: [LINE] }]) {
      const running = await x.run();
      const at = x.t - HOUR_MS;
      expect(await x.beat(running, at, content)).toBe("ok");
      const { lease } = await x.see(running.id);
      expect(lease).toStrictEqual(extend(running, { token: running.token, progress: null }, at).lease);
      expect(lease?.until).toBe(at + LEASE_MS);
    }
  });

  exam("an end up to two lengths ahead, which clocks that differ may cause, still rises", async (x) => {
    const running = await x.run();
    expect(await x.beat(running, x.t - LEASE_MS)).toBe("ok");
    expect((await x.see(running.id)).lease?.until).toBe(x.t + LEASE_MS + 1);
    expect(await x.beat(running, x.t - LEASE_MS)).toBe("ok"); // now a millisecond more than two lengths
    expect((await x.see(running.id)).lease?.until).toBe(x.t);
  });

  exam("progress is a change again at once after the clock was set back", async (x) => {
    const running = await x.run();
    const changes = await x.changesOf(async () => {
      await x.beat(running, x.t + 2_000, { progress: HALF });
      await x.beat(running, x.t + 2_500, { progress: HALF }); // within the second
      await x.beat(running, x.t - HOUR_MS, { progress: HALF });
      await x.beat(running, x.t - HOUR_MS + 500, { progress: HALF }); // within the second
    });
    expect(changes.map(({ kind }) => kind)).toEqual(["progress", "progress"]);
  });

  exam("a stale lease cannot be extended", async (x) => {
    const first = await x.run();
    const waiting = await x.settled(first, RELEASED, x.t + 1);
    const second = await x.start(waiting, { at: x.t + 1, worker: "w2", nonce: "n2" });
    await expectLost(x, first, x.t + 2);
    expect(await x.beat(second, x.t + 2)).toBe("ok");
  });

  exam("a token is compared as a whole", async (x) => {
    const running = await x.run({}, { nonce: "abc" });
    for (const token of ["1.ab", "1.abcd", "1.ABC", "1", "", "2.abc", "01.abc", " 1.abc"]) {
      await expectLost(x, { ...running, token }, x.t + 1);
    }
  });

  exam("a released task cannot be extended, although it still has its token", async (x) => {
    const running = await x.run();
    const waiting = await x.settled(running, RELEASED, x.t + 1);
    expect(waiting.token).toBe(running.token);
    await expectLost(x, running, x.t + 2);
  });

  for (const status of ENDED_STATUSES) {
    exam(`a ${status} task cannot be extended`, async (x) => {
      const running = await x.run();
      if (status === "cancelled")
        await x.settled(asRunning(await x.step(running, cancel(running, x.t))), RELEASED, x.t + 1);
      else await x.settled(running, status === "done" ? DONE : FAILED, x.t + 1);
      expect((await x.see(running.id)).status).toBe(status);
      await expectLost(x, running, x.t + 2);
    });
  }

  exam("a retried task cannot be extended by its earlier worker", async (x) => {
    const running = await x.run();
    const done = await x.settled(running, DONE, x.t + 1);
    await x.step(done, retry(done, x.t + 2));
    await expectLost(x, running, x.t + 3);
  });

  exam("a deleted task and one that never existed cannot be extended", async (x) => {
    const running = await x.run();
    await x.removed(running.id);
    await expectLost(x, running, x.t + 1);
    await expectLost(x, { ...running, id: 999 }, x.t + 1);
  });

  // ---- many in a call

  exam("a lost heartbeat does not affect the others, and each is answered in its place", async (x) => {
    const [a, b, c, d] = [await x.run(), await x.run(), await x.run(), await x.run()];
    await x.removed(b.id);
    await x.step(c, cancel(c, x.t));
    const beats = [d, b, c, { ...a, token: "9.other" }, a].map((task) =>
      beatOf(task, { progress: HALF, log: [LINE] }),
    );
    const answers = await x.store.extend(
      [nth(beats, 0), nth(beats, 1), nth(beats, 2), nth(beats, 3)],
      x.t + 1,
    );
    expect(answers).toEqual(["ok", "lost", "cancel", "lost"]);
    expect(await x.store.extend([nth(beats, 4)], x.t + 1)).toEqual(["ok"]);
    for (const { id } of [a, c, d]) {
      expect((await x.see(id)).progress).toEqual(HALF);
      expect((await x.store.readLog(id, 0)).length).toBe(1);
    }
  });

  exam("a call without heartbeats has no answers", async ({ store, t }) => {
    expect(await store.extend([], t)).toEqual([]);
  });

  exam("one call can have hundreds of heartbeats with progress and lines", async (x) => {
    await x.addAll(Array.from({ length: 500 }, () => ({})));
    const running = await x.take(["*"]);
    const contentOf = (task: RunningTask) => ({
      progress: { percent: task.id % 100, message: `at ${task.id}` },
      log: [{ level: "debug", message: `line of ${task.id}` }] as const,
    });
    const beats = running.toReversed().map((task) => beatOf(task, contentOf(task)));
    expect(await x.store.extend(beats, x.t + 7)).toEqual(running.map(() => "ok"));
    const expected = running.map((task) => extend(task, { token: task.token, ...contentOf(task) }, x.t + 7));
    expect(await x.store.get(running.map(({ id }) => id))).toEqual(expected);
    const last = nth(running, 499);
    const line = { n: 1, at: x.t + 7, level: "debug", message: `line of ${last.id}` } as const;
    expect(only(await x.store.readLog(last.id, 0))).toEqual(line);
  });
}
