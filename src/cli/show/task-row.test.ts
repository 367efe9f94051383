import { describe, expect, test } from "bun:test";
import { NOON } from "../../../test/support/tasks.ts";
import { wireEnded, wireRunning, wireTask } from "../../../test/support/wire-tasks.ts";
import type { Task } from "../../client/types.ts";
import { createPaint } from "./paint.ts";
import { progressLine, taskRow, taskSentence } from "./task-row.ts";
import { widthOf } from "./text.ts";

const HOW = { now: NOON, paint: createPaint(false) };
const at = (ms: number): string => new Date(NOON + ms).toISOString();
const NO_FILE = { code: "io", message: "no such\u001b[2J file" };
const seen = (task: Task) => ({ task, seenAt: NOON });

const cases: readonly (readonly [string, Task, readonly string[], string])[] = [
  ["pending", wireTask(), ["7", "pending", "work", "name", "1m00s", "", "", ""], "Task 7 pending"],
  [
    "not due",
    wireTask({ run_at: at(90_000) }),
    ["7", "pending", "work", "name", "1m00s", "", "", "due in 1m30s"],
    "Task 7 pending, due in 1m30s",
  ],
  [
    "tried again",
    wireTask({ attempt: 1, duration: "2s", error: NO_FILE, run_at: at(5_000) }),
    ["7", "pending", "work", "name", "1m00s", "2.0s", "1/3", "due in 5.0s"],
    "Task 7 pending, due in 5.0s after 1 of 3 attempts: no such\\x1b[2J file",
  ],
  [
    "running",
    wireRunning({ progress: { percent: 45.9, message: "cutting" } }),
    ["7", "running", "work", "name", "1m00s", "10s", "1/3", " 45% [####------] cutting"],
    "Task 7 running 45% cutting",
  ],
  [
    "running, without progress",
    wireRunning(),
    ["7", "running", "work", "name", "1m00s", "10s", "1/3", ""],
    "Task 7 running",
  ],
  [
    "asked to stop, in its second attempt",
    wireRunning({ attempt: 2, cancel_requested: true, progress: { percent: 0, message: "" } }),
    ["7", "running", "work", "name", "1m00s", "10s", "2/3", "  0% [----------] asked to stop"],
    "Task 7 running 0%, asked to stop, attempt 2",
  ],
  [
    "failed",
    wireEnded("failed", { error: NO_FILE }),
    ["7", "failed", "work", "name", "1m00s", "5.0s", "1/3", "no such\\x1b[2J file"],
    "Task 7 failed in 5.0s: no such\\x1b[2J file",
  ],
  [
    "failed without a message",
    wireEnded("failed", { error: { code: "worker_lost", message: "" } }),
    ["7", "failed", "work", "name", "1m00s", "5.0s", "1/3", "worker_lost"],
    "Task 7 failed in 5.0s: worker_lost",
  ],
  [
    "done",
    wireEnded("done"),
    ["7", "done", "work", "name", "1m00s", "5.0s", "1/3", ""],
    "Task 7 done in 5.0s",
  ],
  [
    "cancelled before it began",
    wireEnded("cancelled", { attempt: 0, duration: "0s" }),
    ["7", "cancelled", "work", "name", "1m00s", "", "", ""],
    "Task 7 cancelled",
  ],
];

describe("a task on one line", () => {
  test.each(cases)("%s: a row and a sentence", (_, task, row, sentence) => {
    expect(taskRow(seen(task), HOW).map(({ text }) => text)).toEqual([...row]);
    expect(taskSentence(seen(task), HOW)).toBe(sentence);
  });

  test("the duration of a running task grows after its state was received", () => {
    const later = { ...HOW, now: NOON + 5_000 };
    expect(taskRow(seen(wireRunning()), later)[5]?.text).toBe("15s");
    expect(taskRow(seen(wireEnded("done")), later)[5]?.text).toBe("5.0s");
  });
});

describe("a progress bar", () => {
  const task = wireRunning({ progress: { percent: 50, message: "half way 日本" } });

  test.each([
    [80, "Task 7 [###############---------------]  50% 10s half way 日本"],
    [50, "Task 7 [#########---------]  50% 10s half way 日本"],
    [30, "Task 7  50% 10s half way 日本"],
    [20, "Task 7  50% 10s hal…"],
  ])("in %p columns", (width, line) => {
    expect(progressLine(seen(task), { ...HOW, width })).toBe(line);
  });

  test.each([1, 5, 10, 20, 33, 34, 35, 36, 47, 79, 200])(
    "is no wider than %p columns, coloured or not",
    (width) => {
      for (const one of [task, wireTask(), wireEnded("failed", { error: NO_FILE })]) {
        for (const paint of [createPaint(true), createPaint(false)]) {
          expect(widthOf(progressLine(seen(one), { now: NOON, paint, width }))).toBeLessThanOrEqual(width);
        }
      }
    },
  );
});
