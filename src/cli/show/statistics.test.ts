import { describe, expect, test } from "bun:test";
import { NOON } from "../../../test/support/tasks.ts";
import type { Stats } from "../../client/types.ts";
import { createPaint } from "./paint.ts";
import { statisticsLines } from "./statistics.ts";
import { widthOf } from "./text.ts";

const at = (ms: number): string => new Date(NOON + ms).toISOString();
const EMPTY: Stats = {
  counts: { pending: 0, running: 0, done: 0, failed: 0, cancelled: 0 },
  ...{ types: [], oldest_waiting: null, minutes: [], workers: [], workers_complete: true, tags: [] },
};
const minute = (minutesAgo: number, done: number) => ({
  ...{ at: at(-minutesAgo * 60_000), created: 2, done, failed: 1, cancelled: 0, retried: 1, lost: 1 },
  wait: { total: "10s", longest: "5s" },
  run: { total: "1m0s", longest: "20s" },
});
const FULL: Stats = {
  counts: { pending: 1, running: 2, done: 12_345, failed: 3, cancelled: 0 },
  types: [
    {
      type: "video.cut",
      counts: { pending: 1, running: 2, done: 12_345, failed: 3, cancelled: 0 },
      oldest_run_at: null,
    },
  ],
  oldest_waiting: { type: "video.cut", run_at: at(-90_000), waited: "1m30s" },
  minutes: [minute(2, 7), minute(0, 3)],
  workers: [
    {
      worker: "w\u001b1",
      types: ["video.*", "x"],
      running: 2,
      slots: 4,
      seen_at: at(-2_000),
      draining: true,
      tasks: [7, 8],
    },
  ],
  workers_complete: true,
  tags: [{ tag: "nightly\u0007", count: 5 }],
};
const HOW = { now: NOON, width: 80, paint: createPaint(false) };

describe("the statistics", () => {
  test("of a server without tasks", () => {
    expect(statisticsLines(EMPTY, HOW)).toEqual([
      "0 running, 0 pending, 0 done, 0 failed, 0 cancelled",
      "",
      "The last hour",
      "  created      0",
      "  ended        0 (0 done, 0 failed, 0 cancelled)",
      "  tried again  0, lost 0",
      "",
      "TYPE: none",
      "",
      "WORKER: none",
    ]);
  });

  test("of a busy one: sums, the longest times, the minutes up to now", () => {
    expect(statisticsLines(FULL, HOW)).toEqual([
      "2 running, 1 pending, 12,345 done, 3 failed, 0 cancelled",
      "The oldest waiting task (video.cut) has been due for 1m30s",
      "",
      "The last hour",
      "  created       4",
      "  ended         12 (10 done, 2 failed, 0 cancelled)",
      "  tried again   2, lost 2",
      "  longest wait  5.0s",
      "  longest run   20s",
      "  by minute     █ ▄ up to 8",
      "",
      "TYPE       PENDING  RUNNING   DONE  FAILED  CANCELLED",
      "video.cut        1        2  12345       3          0",
      "",
      "WORKER  TYPES              BUSY      SEEN  TASKS",
      "w\\x1b1  video.* x  2/4 draining  2.0s ago  7 8",
      "",
      "Tags: nightly\\x07 5",
    ]);
  });

  test.each([60, 70, 79])("fits into %p columns", (width) => {
    const many = Array.from({ length: 100 }, (_, n) => n);
    const workers = FULL.workers.map((worker) => ({ ...worker, worker: "w".repeat(90), tasks: many }));
    for (const line of statisticsLines({ ...FULL, workers }, { ...HOW, width })) {
      expect(widthOf(line)).toBeLessThanOrEqual(width);
    }
  });
});
