import { describe, expect, test } from "bun:test";
import type { Attempt, TaskState } from "../../../src/client/client.ts";
import { placeOf, timelineOf } from "./timeline.ts";

const at = (seconds: number): string => new Date(seconds * 1_000).toISOString();

const attempt = (
  number: number,
  [from, to]: readonly [number, number],
  outcome: Attempt["outcome"],
): Attempt => ({
  ...{ attempt: number, worker: "w", outcome, started_at: at(from), finished_at: at(to) },
  error: outcome === "failed" ? { code: "broken", message: "It broke" } : null,
});

const task = (over: Partial<TaskState>): TaskState => ({
  ...{ id: 1, name: "n", description: "", type: "t", priority: 0, tags: [], key: null, timeout: null },
  ...{ status: "pending", created_at: at(0), run_at: at(0), updated_at: at(0), duration: "0s", version: 1 },
  ...{ attempt: 0, max_attempts: 3, progress: null, error: null, attempts: [], cancel_requested: false },
  ...{ started_at: null, finished_at: null },
  ...over,
});

const told = (one: TaskState, nowSeconds: number) =>
  timelineOf(one, nowSeconds * 1_000).steps.map(
    ({ attempt: number, waited, ran, outcome, isManualRetry }) => [
      number,
      (waited.to - waited.from) / 1_000,
      ran === null ? null : (ran.to - ran.from) / 1_000,
      isManualRetry ? `${outcome} again` : outcome,
    ],
  );

describe("the timeline of a task", () => {
  test("a waiting task has one step, which lasts until now", () => {
    expect(told(task({}), 9)).toEqual([[1, 9, null, "waiting"]]);
  });

  test("a failed attempt is shown with its wait, followed by the running attempt", () => {
    const running = task({
      ...{ status: "running", attempt: 2, started_at: at(10) },
      attempts: [attempt(1, [1, 4], "failed")],
    });
    expect(told(running, 12)).toEqual([
      [1, 1, 3, "failed"],
      [2, 6, 2, "running"],
    ]);
  });

  test("a released task starts again with the same attempt number, which is not a manual retry", () => {
    const released = task({ status: "pending", attempt: 0, attempts: [attempt(1, [1, 2], "released")] });
    expect(told(released, 5)).toEqual([
      [1, 1, 1, "released"],
      [1, 3, null, "waiting"],
    ]);
  });

  test("a manual retry restarts the attempt numbers and is marked", () => {
    const again = task({
      ...{ status: "done", attempt: 1, started_at: at(20), finished_at: at(21) },
      attempts: [attempt(1, [1, 2], "failed"), attempt(1, [20, 21], "done")],
    });
    expect(told(again, 30)).toEqual([
      [1, 1, 1, "failed"],
      [1, 18, 1, "done again"],
    ]);
    const waiting = task({ status: "pending", attempt: 0, attempts: again.attempts });
    expect(told(waiting, 30).at(-1)).toEqual([1, 9, null, "waiting again"]);
  });

  test("a task cancelled before its start waited until the cancellation", () => {
    const cancelled = task({ status: "cancelled", finished_at: at(3) });
    expect(told(cancelled, 30)).toEqual([[1, 3, null, "withdrawn"]]);
  });

  test("a task cancelled while running ends with that attempt", () => {
    const cancelled = task({
      ...{ status: "cancelled", attempt: 1, finished_at: at(3) },
      attempts: [attempt(1, [1, 3], "cancelled")],
    });
    expect(told(cancelled, 30)).toEqual([[1, 1, 2, "cancelled"]]);
  });

  test("if the first attempts are no longer stored, the timeline starts with the first stored one", () => {
    const attempts = Array.from({ length: 20 }, (_, index) =>
      attempt(index + 6, [100 + 2 * index, 101 + 2 * index], "failed"),
    );
    const { isCut, whole } = timelineOf(
      task({ attempts, attempt: 25, status: "failed", finished_at: at(139) }),
      1_000_000,
    );
    expect(isCut).toBe(true);
    expect(whole).toEqual({ from: 100_000, to: 139_000 });
  });

  test("spans are placed proportionally on the timeline", () => {
    expect(placeOf({ from: 20, to: 30 }, { from: 10, to: 50 })).toEqual({ left: 25, width: 25 });
  });
});
