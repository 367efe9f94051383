import { describe, expect, test } from "bun:test";
import { NOON } from "../../../test/support/tasks.ts";
import { wireEnded, wireRunning, wireTask } from "../../../test/support/wire-tasks.ts";
import type { Explanation } from "../../client/types.ts";
import { createPaint } from "./paint.ts";
import { explanationLines, logLine, taskLines } from "./task-facts.ts";

const paint = createPaint(false);
const HOW = { now: NOON, paint };
const at = (ms: number): string => new Date(NOON + ms).toISOString();

describe("the facts of a task", () => {
  test("are those without their usual value", () => {
    expect(taskLines(wireTask(), HOW)).toEqual([
      "Task 7  name",
      "  status   pending",
      "  type     work",
      "  created  2026-01-01 11:59:00Z (1m00s ago)",
    ]);
  });

  test("of a server of version 0.1.0 have no labels", () => {
    const { labels: _, ...task } = wireTask({ priority: 1 });
    expect(taskLines(task as ReturnType<typeof wireTask>, HOW)).toContain("  priority  1");
    expect(taskLines(wireTask({ labels: { region: "eu" } }), HOW)).toContain("  labels   region:eu");
  });

  test("are complete, without control characters", () => {
    const task = wireRunning({
      ...{ name: "a\u001b[2J", description: "one\ntwo\u0007", tags: ["x", "y\r"], key: "k", priority: -3 },
      ...{ timeout: "5m0s", run_at: at(-15_000), attempt: 2, cancel_requested: true },
      progress: { percent: 50, message: "half\nway" },
      attempts: [
        {
          ...{ attempt: 1, worker: "w\u001b", started_at: at(-40_000), finished_at: at(-36_800) },
          ...{ outcome: "failed", error: { code: "io", message: "no file" } },
        },
      ],
      error: { code: "io", message: "no file" },
      payload: { a: ["\u009b"] },
      result: "text",
    });
    expect(taskLines(task, HOW)).toEqual([
      "Task 7  a\\x1b[2J",
      "  status       running, asked to stop (attempt 2 of 3)",
      "  progress     [###############---------------] 50% half\\nway",
      "  error        io: no file",
      "  type         work",
      "  description  one",
      "               two\\x07",
      "  tags         x, y\\r",
      "  key          k",
      "  priority     -3",
      "  timeout      5m0s",
      "  created      2026-01-01 11:59:00Z (1m00s ago)",
      "  due          2026-01-01 11:59:45Z (15s ago)",
      "  started      2026-01-01 11:59:50Z (10s ago)",
      "  worked       10s",
      "  attempts     1  2026-01-01 11:59:20Z  +3.2s    failed on w\\x1b: io: no file",
      "  payload      {",
      '                 "a": [',
      '                   "\\u009b"',
      "                 ]",
      "               }",
      '  result       "text"',
    ]);
  });

  test("of an ended task show its end", () => {
    expect(taskLines(wireEnded("done", { result: 0 }), HOW)).toContain(
      "  finished  2026-01-01 11:59:55Z (5.0s ago)",
    );
    expect(taskLines(wireEnded("done", { result: 0 }), HOW)).toContain("  result    0");
  });
});

test("an explanation is a sentence with its facts", () => {
  const explained: Explanation = {
    ...{ id: 7, status: "pending", reason: "waiting_for_slot", message: "It is due; 3 tasks are before it" },
    ...{
      position: 3,
      run_at: at(-60_000),
      attempt: 0,
      worker: null,
      lease_until: null,
      workers: ["a", "b\u001b"],
    },
  };
  expect(explanationLines(explained, HOW)).toEqual([
    "Task 7: It is due; 3 tasks are before it.",
    "  status    pending",
    "  reason    waiting_for_slot",
    "  position  3 due tasks of its type before it",
    "  due       2026-01-01 11:59:00Z (1m00s ago)",
    "  workers   a, b\\x1b",
  ]);
  const running: Explanation = {
    ...explained,
    ...{ status: "running", position: null, worker: "a", lease_until: at(20_000), attempt: 1, workers: [] },
  };
  expect(explanationLines(running, HOW).slice(4)).toEqual([
    "  attempt     1",
    "  worker      a",
    "  lease ends  2026-01-01 12:00:20Z (in 20s)",
  ]);
});

test.each([
  ["info", "2026-01-01 12:00:00Z info  a\\x1b"],
  ["error", "2026-01-01 12:00:00Z error a\\x1b"],
] as const)("a log line of level %s", (level, line) => {
  expect(logLine({ n: 1, at: at(0), level, message: "a\u001b" }, paint)).toBe(line);
});

test("a tab in a log line becomes spaces", () => {
  const line = { n: 1, at: at(0), level: "info", message: "733M\t/usr/share" } as const;
  expect(logLine(line, createPaint(false))).toEndWith("info  733M  /usr/share");
});
