import { describe, expect, test } from "bun:test";
import { endedTask, NOON, pendingTask, runningTask } from "../../test/support/tasks.ts";
import { explain, type Facts, type Reason } from "./explain.ts";
import type { Task } from "./task.ts";

const taker = (fields: Partial<Facts["workers"][number]> = {}) => ({
  name: "w1",
  types: ["work"],
  free: 1,
  isDraining: false,
  ...fields,
});

const rows: readonly (readonly [string, Task, Partial<Facts>, Reason, string])[] = [
  ["a task whose time has not come", pendingTask({ runAt: NOON + 90_500 }), {}, "not_due", "1m31s"],
  [
    "a task that is tried again later",
    pendingTask({ runAt: NOON + 5_000, attempt: 2, failures: 2 }),
    {},
    "not_due",
    "failed 2 times",
  ],
  [
    "a due task of a type that no worker takes",
    pendingTask(),
    { workers: [taker({ types: ["other.*"] })] },
    "no_worker",
    '"work"',
  ],
  [
    "a due task whose only worker drains",
    pendingTask(),
    { workers: [taker({ isDraining: true })] },
    "no_worker",
    "",
  ],
  [
    "the next task, while a worker has a free slot",
    pendingTask(),
    { workers: [taker({ types: ["w*"] })] },
    "about_to_start",
    "",
  ],
  [
    "the next task, while all slots are full",
    pendingTask(),
    { workers: [taker({ free: 0 })] },
    "waiting_for_slot",
    "no task of its type is before it, and 1 worker takes",
  ],
  [
    "a task behind others",
    pendingTask(),
    { workers: [taker()], before: 7 },
    "waiting_for_slot",
    "7 tasks of its type are before it",
  ],
  [
    "a task far behind",
    pendingTask(),
    { workers: [taker()], before: 1_000 },
    "waiting_for_slot",
    "at least 1000",
  ],
  ["a running task", runningTask(), {}, "running", "worker-1"],
  [
    "a task whose worker sends no heartbeats",
    runningTask({}, { until: NOON + 9_000 }),
    {},
    "worker_silent",
    "in 9s",
  ],
  [
    "a task whose lease is over and not judged yet",
    runningTask({}, { until: NOON }),
    {},
    "worker_silent",
    "soon",
  ],
  [
    "a task whose worker was asked to stop",
    runningTask({}, { revokeAt: NOON + 12_000 }),
    {},
    "cancel_requested",
    "12s",
  ],
  ["a task that is done", endedTask("done"), {}, "ended", "done"],
  [
    "a task that failed",
    endedTask("failed", { error: { code: "broken", message: "it broke" } }),
    {},
    "ended",
    "failed: it broke",
  ],
];

describe("an explanation of", () => {
  test.each(rows)("%s", (_, task, facts, reason, says) => {
    const found = explain(task, { now: NOON, workers: [], before: 0, countedTo: 1_000, ...facts });
    expect(found.reason).toBe(reason);
    expect(found.message).toInclude(says);
  });

  test("a waiting task has a position and names the workers that take it; another has no position", () => {
    const facts = {
      now: NOON,
      workers: [taker(), taker({ name: "w2", types: ["*"] })],
      before: 3,
      countedTo: 1_000,
    };
    expect(explain(pendingTask(), facts)).toMatchObject({ position: 3, workers: ["w1", "w2"] });
    expect(explain(runningTask(), facts)).toMatchObject({ position: null, workers: ["w1", "w2"] });
    expect(explain(endedTask("done"), facts)).toMatchObject({ position: null, workers: [] });
  });
});
