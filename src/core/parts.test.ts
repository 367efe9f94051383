import { describe, expect, test } from "bun:test";
import { endedTask, NOON, pendingTask, runningTask } from "../../test/support/tasks.ts";
import { cancel, claim, edit, expire, extend, retry, settle } from "./lifecycle.ts";
import type { Outcome } from "./outcome.ts";
import { changedFields, FIELDS_IN, narrowed, wider } from "./parts.ts";
import { FIELD_NAMES, FIELDS, type FieldName, type Task } from "./task.ts";

const fieldsWhere = (isWanted: (rule: (typeof FIELDS)[FieldName]) => boolean): FieldName[] =>
  FIELD_NAMES.filter((name) => isWanted(FIELDS[name]));

describe("reads", () => {
  test("each read includes the fields of the smaller ones", () => {
    expect(FIELDS_IN.head.every((name) => FIELDS_IN.light.includes(name))).toBe(true);
    expect(FIELDS_IN.light.every((name) => FIELDS_IN.whole.includes(name))).toBe(true);
    expect(FIELDS_IN.whole).toEqual(FIELD_NAMES);
    expect(wider("head", "light")).toBe("light");
    expect(wider("whole", "light")).toBe("whole");
  });

  test("the table names exactly the fields of a task", () => {
    expect([...FIELD_NAMES].sort()).toEqual(Object.keys(pendingTask()).sort() as FieldName[]);
  });

  test("a task is narrowed to the fields of a read", () => {
    const task = runningTask();
    expect(narrowed(task, "whole")).toBe(task);
    expect(Object.keys(narrowed(task, "head")).sort()).toEqual([...FIELDS_IN.head].sort());
    const { payload: _payload, result: _result, ...light } = task;
    expect(narrowed(task, "light")).toEqual(light);
  });
});

describe("the rules of a task's life", () => {
  const outcomes: readonly Outcome[] = [
    { kind: "done", result: '"a result"' },
    {
      kind: "failed",
      error: { code: "broken", message: "It broke" },
      retryable: true,
      retryAfterMs: null,
    },
    { kind: "released", delayMs: 5 },
    { kind: "lost", message: "Its process ended" },
  ];
  const token = "1.a";
  const running = runningTask({ token, progress: { percent: 50, message: "half" } });
  const later = NOON + 86_400_000;
  const patch = {
    ...{ name: "another name", description: "another", tags: ["a tag"], labels: { a: "b" } },
    ...{ payload: "1", priority: 9 },
    ...{ runAt: later, timeoutMs: 1, maxAttempts: 9 },
  };
  const pending = pendingTask();
  const ended = endedTask("failed", { result: "1", attempt: 2, failures: 1, losses: 1, error: null });
  const steps: readonly (readonly [Task, Task])[] = [
    ...outcomes.map((outcome) => [running, settle(running, { token, outcome }, NOON, 0.5)] as const),
    [running, expire(running, later)],
    [running, cancel(running, NOON)],
    [pending, cancel(pending, NOON)],
    [running, extend(running, { token, progress: { percent: 60, message: "more" } }, NOON)],
    [ended, retry(ended, NOON)],
    [pending, edit(pending, patch, NOON)],
  ];
  const changedBy = (pairs: readonly (readonly [Task, Task])[]): FieldName[] =>
    FIELD_NAMES.filter((name) => pairs.some(([from, to]) => changedFields(from, to).includes(name)));

  test("steps change all fields that the table names for steps, and no others", () => {
    expect(changedBy(steps)).toEqual(fieldsWhere(({ changedBy }) => changedBy === "step"));
  });

  test("a claim changes only fields that the table allows for a step or for a claim", () => {
    const claimed = claim(pending, { worker: "w", leaseMs: 1, nonce: "n" }, NOON);
    const changed = changedBy([[pending, claimed]]);
    expect(changed.filter((name) => FIELDS[name].changedBy === "nothing")).toEqual([]);
    expect(changed).toEqual(expect.arrayContaining(fieldsWhere(({ changedBy }) => changedBy === "claim")));
  });

  test("an edit may set every field that the table allows", () => {
    expect(Object.keys(patch).sort()).toEqual(fieldsWhere((rule) => "edit" in rule).sort());
  });

  test("a step does not change a field that it does not have", () => {
    const { payload: _payload, ...light } = edit(pending, { payload: "2" }, NOON);
    expect(changedFields(pending, light as Partial<Task>)).not.toContain("payload");
  });
});
