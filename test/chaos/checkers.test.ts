/** Each checker finds the planted fault, and finds no fault in a correct history. */
import { describe, expect, test } from "bun:test";
import type { Attempt, Task } from "../../src/core/task.ts";
import { endedTask } from "../support/tasks.ts";
import {
  type Claim,
  faultsOfAnswers,
  faultsOfClaims,
  faultsOfCreates,
  faultsOfExecutions,
  faultsOfLife,
  faultsOfReading,
  faultsOfView,
  type Seen,
} from "./checkers.ts";
import { type Execution, executionsOf, recoveries } from "./history.ts";
import type { Asked } from "./load.ts";

const asked = (name: string, id: number | null, more: Partial<Asked> = {}): Asked => ({
  name,
  askedAt: 0,
  tookMs: 1,
  status: id === null ? null : 201,
  retryAfter: null,
  id,
  ...more,
});

describe("creates", () => {
  const sent = [asked("a", 1), asked("b", 2), asked("c", null)];
  const whole = [
    { id: 1, name: "a" },
    { id: 2, name: "b" },
  ];

  test("acknowledged tasks are stored once, other tasks at most once", () => {
    expect(faultsOfCreates(sent, whole)).toEqual([]);
    expect(faultsOfCreates(sent, [...whole, { id: 3, name: "c" }])).toEqual([]);
  });

  test.each([
    ["a lost task", whole.slice(1), 'task 1 "a" was acknowledged and is lost'],
    ["another task under its id", [{ id: 1, name: "c" }, ...whole.slice(1)], 'is "c"'],
    [
      "a doubled task",
      [...whole, { id: 3, name: "c" }, { id: 4, name: "c" }],
      '"c" was asked for once and is there twice',
    ],
    ["a doubled acknowledged task", [...whole, { id: 3, name: "a" }], "is there twice"],
    ["a task without a create", [...whole, { id: 3, name: "d" }], 'no create had the name of task 3 "d"'],
    ["an id that is listed twice", [...whole, { id: 2, name: "c" }], "listed twice"],
  ] as const)("%s is detected", (_, stored, fault) => {
    expect(faultsOfCreates(sent, stored).join("\n")).toInclude(fault);
  });

  test("an id that is given twice is detected", () => {
    expect(faultsOfCreates([...sent, asked("d", 2)], whole).join("\n")).toInclude("was given to");
  });

  test("other answers than 201, and 503 with Retry-After, are detected", () => {
    const unavailable = (retryAfter: string | null) => asked("x", null, { status: 503, retryAfter });
    expect(faultsOfAnswers([asked("a", 1), unavailable("1")])).toEqual([]);
    expect(faultsOfAnswers([unavailable(null), unavailable("0"), asked("y", null, { status: 500 })])).toEqual(
      ['the 503 of "x" has no Retry-After', 'the 503 of "x" has no Retry-After', '"y" was answered 500'],
    );
    expect(faultsOfAnswers([asked("z", null)])).toEqual(['the connection of "z" broke']);
  });
});

describe("executions", () => {
  const ran = (pid: number, from: number, until: number | null, taskId = 1): Execution => ({
    taskId,
    pid,
    from,
    until,
  });

  test("runs of a task one after another are right, and so are two tasks at the same time", () => {
    expect(faultsOfExecutions([ran(2, 20, 30), ran(1, 10, 20), ran(3, 12, 40, 2)])).toEqual([]);
  });

  test("two runs of a task at the same time are detected, and a run without an observed end before another run", () => {
    expect(faultsOfExecutions([ran(1, 10, 21), ran(2, 20, 30)])).toHaveLength(1);
    expect(faultsOfExecutions([ran(1, 10, null), ran(2, 20, 30)])).toHaveLength(1);
  });

  test("executions are read from a log, and end with their process", () => {
    const line = (event: string, task_id: number, ms: number) => ({
      event,
      task_id,
      time: new Date(ms).toISOString(),
    });
    const events = () => [
      line("task_started", 1, 10),
      line("task_started", 2, 11),
      line("task_done", 1, 20),
      line("task_started", 3, 21),
      line("task_stopping", 3, 25),
    ];
    expect(executionsOf({ pid: 7, diedAt: 30, process: { events } })).toEqual([
      ran(7, 10, 20, 1),
      ran(7, 21, 25, 3),
      ran(7, 11, 30, 2),
    ]);
  });
});

describe("the history of a task", () => {
  const attempt = (n: number, from: number, until: number, outcome: Attempt["outcome"]): Attempt => ({
    attempt: n,
    worker: `host-${n}`,
    startedAt: from,
    finishedAt: until,
    outcome,
    error: null,
  });
  const lost = attempt(1, 10, 20, "lost");
  const done = attempt(2, 21, 30, "done");
  const life = (attempts: readonly Attempt[], more: Parameters<typeof endedTask>[1] = {}): Task =>
    endedTask("done", {
      attempts,
      claims: attempts.length,
      version: 1 + 2 * attempts.length,
      finishedAt: 30,
      ...more,
    });

  test("lost and then done is right, and so is a third loss", () => {
    expect(faultsOfLife(life([lost, done]))).toEqual([]);
    const thrice = [lost, attempt(2, 21, 30, "lost"), attempt(3, 31, 40, "lost")];
    expect(faultsOfLife({ ...life(thrice), status: "failed" } as Task)).toEqual([]); // the fields of one variant of the type
  });

  test.each([
    ["leases that overlap", life([lost, { ...done, startedAt: 19 }]), "alive at once"],
    ["a task that was done twice", life([{ ...lost, outcome: "done" }, done]), "follows one that was done"],
    ["a start that was counted twice", life([lost, { ...done, attempt: 1 }]), "has number 1"],
    ["a claim without an attempt", life([lost, done], { claims: 3 }), "3 claims made 2 attempts"],
    ["a version that was used twice", life([lost, done], { version: 4 }), "has version 4"],
    ["an end that differs from the last attempt", life([lost]), "is done after lost"],
    ["a time that goes backwards", life([{ ...lost, startedAt: 21 }, done]), "ends before it starts"],
  ] as const)("%s is detected", (_, task, fault) => {
    expect(faultsOfLife(task).join("\n")).toInclude(fault);
  });

  test("a task that has not ended is detected", () => {
    const task = { ...life([lost]), status: "pending", finishedAt: null } as Task; // the fields of one variant, as above
    expect(faultsOfLife(task).join("\n")).toInclude("is pending");
  });

  test("the time from a death to the next start is measured, and a loss without a death is left out", () => {
    const task = life([lost, attempt(2, 50, 60, "lost"), attempt(3, 70, 80, "done")]);
    expect(recoveries([task], new Map([[1, 15]]))).toEqual([35]);
  });
});

describe("claims", () => {
  const got = (id: number, claims: number, released = false): Claim => ({ id, claims, released });

  test("one claim of each task is right, and another one after a release", () => {
    expect(faultsOfClaims([got(1, 1), got(2, 2), got(2, 1, true)], [1, 2])).toEqual([]);
  });

  test.each([
    ["a task that two claimers got", [got(1, 1), got(1, 1)], "claim 2 has number 1"],
    ["a task that was claimed again without a release", [got(1, 1), got(1, 2)], "was not the last"],
    ["a count that skips", [got(1, 2)], "claim 1 has number 2"],
    ["a task that no claimer got", [], "never claimed"],
    ["a task that was released and not claimed again", [got(1, 1, true)], "not claimed again"],
    ["a task that was never created", [got(1, 1), got(7, 1)], "never made"],
  ] as const)("%s is detected", (_, given, fault) => {
    expect(faultsOfClaims(given, [1]).join("\n")).toInclude(fault);
  });
});

describe("changes", () => {
  const created: Seen = { id: 1, version: 1, kind: "created" };
  const claimed: Seen = { id: 1, version: 2, kind: "changed" };
  const deleted: Seen = { id: 1, version: 2, kind: "deleted" };
  const written = [created, claimed, deleted];

  test("all changes of a task, once and in order, are right, whatever the changes of other tasks in between", () => {
    const other: Seen = { id: 2, version: 1, kind: "created" };
    expect(faultsOfReading([...written, other], [created, other, claimed, deleted])).toEqual([]);
  });

  test.each([
    ["a change that was missed", [created, deleted], "version 2 of task 1 was missed"],
    ["a deletion that was missed", [created, claimed], "the deletion of task 1 was missed"],
    ["a change that came twice", [created, claimed, claimed, deleted], "read twice"],
    ["a change that came too late", [claimed, created, deleted], "too late"],
    ["a change after the deletion", [created, deleted, claimed], "too late"],
    ["a change without a write", [created, claimed, { ...claimed, version: 3 }, deleted], "not written"],
  ] as const)("%s is detected", (_, read, fault) => {
    expect(faultsOfReading(written, read).join("\n")).toInclude(fault);
  });
});

describe("views", () => {
  const stored = new Map([
    [1, "done 3"],
    [2, "pending 1"],
  ]);

  test("an equal view is right", () => {
    expect(faultsOfView(new Map(stored), stored)).toEqual([]);
  });

  test("an old state, a missing task and a deleted task are detected", () => {
    const view = new Map([
      [1, "running 2"],
      [3, "done 3"],
    ]);
    expect(faultsOfView(view, stored)).toEqual([
      "task 1 is done 3, the client sees running 2",
      "task 2 is pending 1, the client sees nothing",
      "task 3 is gone, the client sees done 3",
    ]);
  });
});
