import { describe, expect, test } from "bun:test";
import { NOON } from "../../../test/support/tasks.ts";
import { wireEnded, wireRunning, wireTask } from "../../../test/support/wire-tasks.ts";
import type { Stats, Task } from "../../client/types.ts";
import { chooseRows, watchScreen } from "./live-table.ts";
import { createPaint } from "./paint.ts";
import { widthOf } from "./text.ts";

const at = (ms: number): string => new Date(NOON + ms).toISOString();
const seen = (task: Task) => ({ task, seenAt: NOON });
const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

const runs = range(20).map((n) => wireRunning({ id: 100 + n, started_at: at(-1_000 * n) }));
const waits = range(20).map((n) => wireTask({ id: 200 + n, priority: n % 2 }));
const ended = range(20).map((n) => wireEnded("done", { id: 300 + n, finished_at: at(-1_000 * (20 - n)) }));

const chosen = (tasks: readonly Task[], room: number): number[] =>
  chooseRows(tasks.map(seen), room).map(({ task }) => task.id);

describe("the rows of the screen", () => {
  test("are running tasks by start, pending tasks by order of claims, ended tasks the latest first", () => {
    const tasks = [...ended.slice(0, 2), ...waits.slice(0, 3), ...runs.slice(0, 2)];
    expect(chosen(tasks, 10)).toEqual([101, 100, 201, 200, 202, 301, 300]);
  });

  test.each([
    [12, [6, 3, 3]],
    [20, [10, 5, 5]],
    [50, [20, 18, 12]],
    [3, [3, 0, 0]],
    [0, [0, 0, 0]],
  ])("share %p rows", (room, shares) => {
    const ids = chosen([...ended, ...waits, ...runs], room);
    const from = (first: number): number => ids.filter((id) => id >= first && id < first + 100).length;
    expect([from(100), from(200), from(300)]).toEqual(shares);
  });

  test("use rows that a group does not need", () => {
    expect(chosen([...runs.slice(0, 1), ...ended], 8)).toHaveLength(8);
  });
});

const stats: Stats = {
  counts: { pending: 2, running: 1, done: 1_234, failed: 0, cancelled: 0 },
  types: [],
  oldest_waiting: { type: "work", run_at: at(-60_000), waited: "1m0s" },
  minutes: [],
  workers: [],
  workers_complete: true,
  tags: [],
};
const watched = { tasks: [...runs, ...waits].map(seen), stats, url: "http://here", awaySince: null };
const HOW = { now: NOON, columns: 79, rows: 24, paint: createPaint(false) };

describe("the screen", () => {
  test("shows the counts, the address and the table", () => {
    const lines = watchScreen({ ...watched, tasks: [seen(runs[0] ?? wireRunning())] }, HOW);
    expect(lines).toEqual([
      "1 running, 2 pending, 1,234 done, 0 failed, 0 cancelled",
      "http://here, 0 workers, the oldest waits for 1m00s",
      "",
      " ID  STATUS   TYPE  NAME    AGE  RAN  TRY  PROGRESS",
      "100  running  work  name  1m00s  10s  1/3",
    ]);
  });

  test("shows since when the server does not answer", () => {
    const [, state] = watchScreen({ ...watched, awaySince: NOON - 5_000 }, HOW);
    expect(state).toBe("http://here has not answered for 5.0s; trying again");
  });

  test.each([
    [79, 24],
    [199, 50],
    [39, 10],
    [20, 5],
    [20, 1],
  ])("fits into %p columns and %p rows", (columns, rows) => {
    const long = wireRunning({
      name: "日本".repeat(100),
      progress: { percent: 3, message: "x".repeat(300) },
    });
    const lines = watchScreen(
      { ...watched, tasks: [...watched.tasks, seen(long)] },
      { ...HOW, columns, rows },
    );
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines.slice(3)) expect(widthOf(line)).toBeLessThanOrEqual(columns);
  });
});
