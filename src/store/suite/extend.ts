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

/** A beat that says all there is to say, so that a lost one has something to leave behind. */
const speak = ({ beat }: Examinee, task: RunningTask, at: number): Promise<BeatAnswer> =>
  beat(task, at, { progress: HALF, log: [LINE] });

/** The beat is lost and the task, if there is one, is as it was. */
async function expectLost(x: Examinee, task: RunningTask, at: number): Promise<void> {
  const [before] = await x.store.get([task.id]);
  const log = await x.store.readLog(task.id, 0);
  expect(await speak(x, task, at)).toBe("lost");
  expect(await x.store.get([task.id])).toEqual([before ?? null]);
  expect(await x.store.readLog(task.id, 0)).toEqual(log);
}

export function examineExtend(exam: Exam): void {
  exam("an extended lease is what lifecycle.extend makes of it", async ({ run, beat, see, t }) => {
    const running = await run({}, { leaseMs: 12_345 });
    expect(await beat(running, t + 5_000)).toBe("ok");
    const extended = extend(running, { token: running.token, progress: null }, t + 5_000);
    expect(await see(running.id)).toStrictEqual(extended);
    expect(extended.lease.until).toBe(t + 17_345);
  });

  exam("a beat leaves version and time of change alone", async ({ run, beat, see, t }) => {
    const running = await run();
    await beat(running, t + 5_000, { progress: HALF, log: [LINE] });
    const { version, updatedAt } = await see(running.id);
    expect({ version, updatedAt }).toEqual({ version: running.version, updatedAt: running.updatedAt });
  });

  exam("a lease's end rises with every beat, though the clock stands still or goes back", async (x) => {
    let task = await x.run();
    for (const at of [x.t, x.t, x.t - 5_000, x.t + 1, x.t + 1]) {
      expect(await x.beat(task, at)).toBe("ok");
      const extended = extend(task, { token: task.token, progress: null }, at);
      expect(extended.lease.until).toBeGreaterThan(task.lease.until);
      expect(await x.see(task.id)).toStrictEqual(extended);
      task = extended;
    }
  });

  exam("progress is stored with the beat", async ({ run, beat, see, t }) => {
    const running = await run();
    await beat(running, t + 1, { progress: HALF });
    expect((await see(running.id)).progress).toEqual(HALF);
  });

  exam("a beat without progress leaves the earlier one", async ({ run, beat, see, t }) => {
    const running = await run();
    await beat(running, t + 1, { progress: HALF });
    await beat(running, t + 2);
    expect((await see(running.id)).progress).toEqual(HALF);
  });

  exam("later progress takes the place of earlier, also where it is less", async ({ run, beat, see, t }) => {
    const running = await run();
    for (const percent of [50, 70, 0]) {
      await beat(running, t + 1, { progress: { percent, message: "" } });
      expect((await see(running.id)).progress).toEqual({ percent, message: "" });
    }
  });

  // ---- cancel

  exam("a beat learns of a cancel request, and is carried out all the same", async (x) => {
    const running = await x.run();
    const asked = await x.step(running, cancel(running, x.t + 1));
    expect(await speak(x, running, x.t + 2)).toBe("cancel");
    const extended = extend(asked, { token: running.token, progress: HALF }, x.t + 2);
    expect(await x.see(running.id)).toStrictEqual(extended);
    expect((await x.store.readLog(running.id, 0)).length).toBe(1);
  });

  exam("a cancel request is told at every beat, also past its grace", async (x) => {
    const running = await x.run();
    await x.step(running, cancel(running, x.t));
    for (const at of [x.t + 1, x.t + LEASE_MS - 1, x.t + CANCEL_GRACE_MS, x.t + CANCEL_GRACE_MS + 1]) {
      expect(await x.beat(running, at)).toBe("cancel");
    }
  });

  // ---- lost

  exam("a lease is good up to its last millisecond", async ({ run, beat, t }) => {
    expect(await beat(await run(), t + LEASE_MS - 1)).toBe("ok");
  });

  exam(
    "a lease can be extended past its end as long as it was not judged, with all that the beat brings",
    async (x) => {
      for (const late of [0, 1, 10 * HOUR_MS]) {
        const running = await x.run();
        const at = x.t + LEASE_MS + late;
        expect(await speak(x, running, at)).toBe("ok");
        const extended = extend(running, { token: running.token, progress: HALF }, at);
        expect(await x.see(running.id)).toStrictEqual(extended);
        expect(extended.lease.until).toBe(at + LEASE_MS);
        expect((await x.store.readLog(running.id, 0)).length).toBe(1);
      }
    },
  );

  exam("a bare beat renews a lease past its end as well", async (x) => {
    const running = await x.run();
    expect(await x.beat(running, x.t + LEASE_MS)).toBe("ok");
    expect((await x.see(running.id)).lease?.until).toBe(x.t + 2 * LEASE_MS);
  });

  exam("a lease that was judged lost cannot be extended", async (x) => {
    const running = await x.run();
    await x.step(running, expire(running, x.t + LEASE_MS));
    await expectLost(x, running, x.t + LEASE_MS);
  });

  exam("a lease that ran out and was judged after a late beat is stale", async (x) => {
    const running = await x.run();
    await x.beat(running, x.t + LEASE_MS);
    expect(await x.write(running, expire(running, x.t + LEASE_MS))).toBe("stale");
    expect((await x.see(running.id)).status).toBe("running");
  });

  // ---- the clock was set back

  exam("a beat brings an end that lies too far ahead back to a lease's length from now", async (x) => {
    for (const said of [{}, { progress: HALF, log: [LINE] }]) {
      const running = await x.run();
      const at = x.t - HOUR_MS;
      expect(await x.beat(running, at, said)).toBe("ok");
      const { lease } = await x.see(running.id);
      expect(lease).toStrictEqual(extend(running, { token: running.token, progress: null }, at).lease);
      expect(lease?.until).toBe(at + LEASE_MS);
    }
  });

  exam("an end up to two lengths ahead is what clocks that differ may leave, and rises", async (x) => {
    const running = await x.run();
    expect(await x.beat(running, x.t - LEASE_MS)).toBe("ok");
    expect((await x.see(running.id)).lease?.until).toBe(x.t + LEASE_MS + 1);
    expect(await x.beat(running, x.t - LEASE_MS)).toBe("ok"); // now a millisecond more than two lengths
    expect((await x.see(running.id)).lease?.until).toBe(x.t);
  });

  exam("progress is a change again at once when the clock was set back", async (x) => {
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

  exam("a released task cannot be extended, though its token is still there", async (x) => {
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

  exam("a retried task cannot be extended by the worker it had", async (x) => {
    const running = await x.run();
    const done = await x.settled(running, DONE, x.t + 1);
    await x.step(done, retry(done, x.t + 2));
    await expectLost(x, running, x.t + 3);
  });

  exam("a deleted task and one that never was cannot be extended", async (x) => {
    const running = await x.run();
    await x.removed(running.id);
    await expectLost(x, running, x.t + 1);
    await expectLost(x, { ...running, id: 999 }, x.t + 1);
  });

  // ---- many in a call

  exam("a lost beat does not affect the others, and each is answered in its place", async (x) => {
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

  exam("no beats, no answers", async ({ store, t }) => {
    expect(await store.extend([], t)).toEqual([]);
  });

  exam("hundreds of beats with progress and lines are one call", async (x) => {
    await x.addAll(Array.from({ length: 500 }, () => ({})));
    const running = await x.take(["*"]);
    const said = (task: RunningTask) => ({
      progress: { percent: task.id % 100, message: `at ${task.id}` },
      log: [{ level: "debug", message: `line of ${task.id}` }] as const,
    });
    const beats = running.toReversed().map((task) => beatOf(task, said(task)));
    expect(await x.store.extend(beats, x.t + 7)).toEqual(running.map(() => "ok"));
    const expected = running.map((task) => extend(task, { token: task.token, ...said(task) }, x.t + 7));
    expect(await x.store.get(running.map(({ id }) => id))).toEqual(expected);
    const last = nth(running, 499);
    const line = { n: 1, at: x.t + 7, level: "debug", message: `line of ${last.id}` } as const;
    expect(only(await x.store.readLog(last.id, 0))).toEqual(line);
  });
}
