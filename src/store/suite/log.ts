import { expect } from "bun:test";
import { extend, retry } from "../../core/lifecycle.ts";
import { LIMITS } from "../../core/task.ts";
import type { NewLogLine } from "../store.ts";
import { beatOf, DONE, type Exam } from "./examinee.ts";

const lines = (from: number, to: number): NewLogLine[] =>
  Array.from({ length: to - from + 1 }, (_, n) => ({ level: "info", message: `line ${from + n}` }));

export function examineLog(exam: Exam): void {
  exam(
    "lines are numbered from 1 and have the time of their heartbeat, oldest first",
    async ({ run, beat, store, t }) => {
      const running = await run();
      await beat(running, t + 10, { log: lines(1, 2) });
      await beat(running, t + 20, { log: lines(3, 3) });
      expect(await store.readLog(running.id, 0)).toEqual([
        { n: 1, at: t + 10, level: "info", message: "line 1" },
        { n: 2, at: t + 10, level: "info", message: "line 2" },
        { n: 3, at: t + 20, level: "info", message: "line 3" },
      ]);
    },
  );

  exam("a reader gets the lines after the given number", async ({ run, beat, store, t }) => {
    const running = await run();
    await beat(running, t + 10, { log: lines(1, 5) });
    const after = async (n: number) => (await store.readLog(running.id, n)).map((line) => line.n);
    expect(await after(0)).toEqual([1, 2, 3, 4, 5]);
    expect(await after(3)).toEqual([4, 5]);
    expect(await after(5)).toEqual([]);
    expect(await after(500)).toEqual([]);
  });

  exam("a task without lines and one that never existed have an empty log", async ({ add, store }) => {
    expect(await store.readLog((await add()).id, 0)).toEqual([]);
    expect(await store.readLog(999, 0)).toEqual([]);
  });

  exam("levels and texts are kept exactly", async ({ run, beat, store, t }) => {
    const running = await run();
    const sent: NewLogLine[] = [
      { level: "debug", message: "" },
      { level: "info", message: " 😀 مرحبا\n\t" },
      { level: "warn", message: `'"\\ {"json": true} %s $1 NULL` },
      { level: "error", message: "ж".repeat(LIMITS.messageLength) },
    ];
    await beat(running, t + 1, { log: sent });
    const kept = await store.readLog(running.id, 0);
    expect(kept.map(({ level, message }) => ({ level, message }))).toEqual(sent);
  });

  exam("the last thousand lines are kept, and numbers continue", async ({ run, beat, store, t }) => {
    const running = await run();
    for (let from = 1; from <= 1_201; from += 300) {
      await beat(running, t + from, { log: lines(from, from + 299) });
    }
    const kept = await store.readLog(running.id, 0);
    expect(kept.map(({ n }) => n)).toEqual(Array.from({ length: LIMITS.logLinesKept }, (_, n) => n + 501));
    expect(kept.every(({ n, message }) => message === `line ${n}`)).toBe(true);
    expect((await store.readLog(running.id, 1_499)).map(({ n }) => n)).toEqual([1_500]);
  });

  exam(
    "of a heartbeat with more lines than are kept the last thousand are kept",
    async ({ run, beat, store, t }) => {
      const running = await run();
      await beat(running, t + 1, { log: lines(1, LIMITS.logLinesKept + 7) });
      const kept = await store.readLog(running.id, 0);
      expect([kept.length, kept.at(0)?.n, kept.at(-1)?.message]).toEqual([1_000, 8, "line 1007"]);
    },
  );

  exam("each task has a log of its own", async (x) => {
    const [a, b] = [await x.run(), await x.run()];
    await x.store.extend([beatOf(a, { log: lines(1, 2) }), beatOf(b, { log: lines(7, 7) })], x.t + 1);
    await x.beat(a, x.t + 2, { log: lines(3, 3) });
    const texts = async (id: number) =>
      (await x.store.readLog(id, 0)).map(({ n, message }) => `${n}: ${message}`);
    expect(await texts(a.id)).toEqual(["1: line 1", "2: line 2", "3: line 3"]);
    expect(await texts(b.id)).toEqual(["1: line 7"]);
  });

  exam("the log is kept after its attempt, and the next attempt continues it", async (x) => {
    const first = await x.run();
    await x.beat(first, x.t + 1, { log: lines(1, 1) });
    const beaten = extend(first, { token: first.token, progress: null }, x.t + 1);
    const done = await x.settled(beaten, DONE);
    const again = await x.step(done, retry(done, x.t + 2_000));
    const second = await x.start(again, { at: x.t + 2_000, nonce: "n2" });
    await x.beat(second, x.t + 2_001, { log: lines(2, 2) });
    expect((await x.store.readLog(first.id, 0)).map(({ n, at }) => [n, at])).toEqual([
      [1, x.t + 1],
      [2, x.t + 2_001],
    ]);
  });

  exam("the log is deleted with its task", async (x) => {
    const running = await x.run();
    await x.beat(running, x.t + 1, { log: lines(1, 3) });
    await x.removed(running.id);
    expect(await x.store.readLog(running.id, 0)).toEqual([]);
  });
}
