import { describe, expect, test } from "bun:test";
import { deepFreeze, endedTask, NOON, pendingTask, runningTask } from "../../test/support/tasks.ts";
import { isClaimable } from "./due.ts";
import { TaskError } from "./error.ts";
import { CANCEL_GRACE_MS, expiresAt, isCancelRequested, isOverlong } from "./lease.ts";
import {
  cancel,
  claim,
  create,
  DEFAULT_TYPE,
  edit,
  entersLife,
  expire,
  extend,
  nextToken,
  retry,
  settle,
  type TaskPatch,
  TYPE_DEFAULTS,
} from "./lifecycle.ts";
import type { Outcome } from "./outcome.ts";
import type { Failure } from "./task.ts";
import { type Attempt, NO_ID, type Status, type Task } from "./task.ts";

const SECOND = 1_000;
const LEASE_MS = 30 * SECOND;

const BROKEN: Failure = { code: "broken", message: "It broke" };
const FATAL: Failure = { code: "fatal", message: "It cannot be repaired" };

const done = (result: string | null = null): Outcome => deepFreeze({ kind: "done", result });
const failed = (error: Failure = BROKEN, retryAfterMs: number | null = null): Outcome =>
  deepFreeze({ kind: "failed", error, retryable: true, retryAfterMs });
const final = (error: Failure = FATAL): Outcome =>
  deepFreeze({ kind: "failed", error, retryable: false, retryAfterMs: null });
const released = (delayMs = 0): Outcome => deepFreeze({ kind: "released", delayMs });
const died = (message = "Its process ended"): Outcome => deepFreeze({ kind: "lost", message });

const settled = (
  task: Task,
  outcome: Outcome,
  { now = NOON, token = task.token ?? "1.a", random = 0.5 } = {},
) => settle(task, { token, outcome }, now, random);

const attempt = (outcome: Attempt["outcome"], error: Failure | null = null): Attempt => ({
  attempt: 1,
  worker: "worker-1",
  startedAt: NOON - 10 * SECOND,
  finishedAt: NOON - 5 * SECOND,
  outcome,
  error,
});

const refusal = (run: () => unknown): TaskError => {
  try {
    run();
  } catch (error) {
    if (error instanceof TaskError) return error;
    throw error;
  }
  throw new Error("expected a refusal, and there was none");
};

// ---- every state and every step

const RUN_ONCE = { claims: 1, token: "1.a", attempt: 1, startedAt: NOON - 10 * SECOND } as const;

const STATES = {
  due: pendingTask(),
  later: pendingTask({ runAt: NOON + 1 }),
  retrying: pendingTask({ ...RUN_ONCE, failures: 1, attempts: [attempt("failed", BROKEN)], error: BROKEN }),
  released: pendingTask({ ...RUN_ONCE, attempt: 0, attempts: [attempt("released")] }),
  "lost once": pendingTask({ ...RUN_ONCE, losses: 1, attempts: [attempt("lost", BROKEN)], error: BROKEN }),
  running: runningTask(),
  stopping: runningTask({}, { revokeAt: NOON + 1 }),
  revoked: runningTask({}, { revokeAt: NOON }),
  lapsed: runningTask({}, { until: NOON }),
  "lapsed, stopping": runningTask({}, { until: NOON, revokeAt: NOON + 1 }),
  overlong: runningTask({}, { until: NOON + 3_600_000 }),
  done: endedTask("done", { attempts: [attempt("done")] }),
  failed: endedTask("failed", { attempts: [attempt("failed", BROKEN)], error: BROKEN, failures: 3 }),
  cancelled: endedTask("cancelled", { attempts: [attempt("cancelled", BROKEN)], error: BROKEN }),
  "cancelled by release": endedTask("cancelled", { attempts: [attempt("cancelled")] }),
  "cancelled unstarted": endedTask("cancelled", { claims: 0, token: null, attempt: 0, startedAt: null }),
} satisfies Record<string, Task>;

const STEPS = {
  claim: (task: Task) => claim(task, { worker: "worker-2", leaseMs: LEASE_MS, nonce: "b" }, NOON),
  extend: (task: Task) => extend(task, { token: "1.a", progress: null }, NOON),
  "extend, stale": (task: Task) => extend(task, { token: "0.z", progress: null }, NOON),
  done: (task: Task) => settled(task, done()),
  failed: (task: Task) => settled(task, failed()),
  final: (task: Task) => settled(task, final()),
  released: (task: Task) => settled(task, released()),
  died: (task: Task) => settled(task, died()),
  "done, stale": (task: Task) => settled(task, done(), { token: "0.z" }),
  expire: (task: Task) => expire(task, NOON),
  cancel: (task: Task) => cancel(task, NOON),
  retry: (task: Task) => retry(task, NOON),
  rename: (task: Task) => edit(task, { name: "new" }, NOON),
  reschedule: (task: Task) => edit(task, { runAt: NOON + 1 }, NOON),
} satisfies Record<string, (task: Task) => Task>;

type State = keyof typeof STATES;
type StepName = keyof typeof STEPS;
/** The status after the step; "same": the step returns the same object; otherwise the code of the refusal. */
type Expected = Status | "same" | "lost" | "wrong";

const [pending, running, same, lost, wrong] = ["pending", "running", "same", "lost", "wrong"] as const;
const [isDone, isFailed, cancelled] = ["done", "failed", "cancelled"] as const;

const COLUMNS: readonly StepName[] = [
  "claim",
  "extend",
  "extend, stale",
  "done",
  "failed",
  "final",
  "released",
  "died",
  "done, stale",
  "expire",
  "cancel",
  "retry",
  "rename",
  "reschedule",
];

// biome-ignore format: a table
const MATRIX: Record<State, readonly Expected[]> = {
  //                       claim    extend   stale done    failed     final      released   died       stale  expire      cancel      retry    rename     reschedule
  due:                    [running, lost,    lost, lost,   lost,      lost,      lost,      lost,      lost,  same,       cancelled,  wrong,   pending,   pending],
  later:                  [wrong,   lost,    lost, lost,   lost,      lost,      lost,      lost,      lost,  same,       cancelled,  wrong,   pending,   pending],
  retrying:               [running, lost,    lost, lost,   same,      lost,      lost,      lost,      lost,  same,       cancelled,  wrong,   pending,   pending],
  released:               [running, lost,    lost, lost,   lost,      lost,      same,      lost,      lost,  same,       cancelled,  wrong,   pending,   pending],
  "lost once":            [running, lost,    lost, lost,   lost,      lost,      lost,      same,      lost,  same,       cancelled,  wrong,   pending,   pending],
  running:                [wrong,   running, lost, isDone, pending,   isFailed,  pending,   pending,   lost,  same,       running,    wrong,   running,   wrong],
  stopping:               [wrong,   running, lost, isDone, cancelled, cancelled, cancelled, cancelled, lost,  same,       same,       wrong,   running,   wrong],
  revoked:                [wrong,   running, lost, isDone, cancelled, cancelled, cancelled, cancelled, lost,  cancelled,  same,       wrong,   running,   wrong],
  lapsed:                 [wrong,   running, lost, isDone, pending,   isFailed,  pending,   pending,   lost,  pending,    running,    wrong,   running,   wrong],
  "lapsed, stopping":     [wrong,   running, lost, isDone, cancelled, cancelled, cancelled, cancelled, lost,  cancelled,  same,       wrong,   running,   wrong],
  overlong:               [wrong,   running, lost, isDone, pending,   isFailed,  pending,   pending,   lost,  pending,    running,    wrong,   running,   wrong],
  done:                   [wrong,   lost,    lost, same,   lost,      lost,      lost,      lost,      lost,  same,       wrong,      pending, isDone,    wrong],
  failed:                 [wrong,   lost,    lost, lost,   same,      lost,      lost,      lost,      lost,  same,       wrong,      pending, isFailed,  wrong],
  cancelled:              [wrong,   lost,    lost, lost,   same,      lost,      lost,      lost,      lost,  same,       wrong,      pending, cancelled, wrong],
  "cancelled by release": [wrong,   lost,    lost, lost,   lost,      lost,      same,      same,      lost,  same,       wrong,      pending, cancelled, wrong],
  "cancelled unstarted":  [wrong,   lost,    lost, lost,   lost,      lost,      lost,      lost,      lost,  same,       wrong,      pending, cancelled, wrong],
};

const KEYS = Object.keys(create({ name: "n" }, TYPE_DEFAULTS, NOON));

const CASES = Object.entries(MATRIX).flatMap(([state, row]) =>
  row.map((expected, at) => ({ state: state as State, step: COLUMNS[at] as StepName, expected })),
);

describe.each(CASES)("$state + $step → $expected", ({ state, step, expected }) => {
  const from = STATES[state];
  const take = (): Task => STEPS[step](from);

  if (expected === "lost" || expected === "wrong") {
    test("is refused", () => {
      expect(refusal(take).code).toBe(expected === "lost" ? "lease_lost" : "wrong_status");
      expect(refusal(take).message).toMatch(/task 7\b/i);
    });
  } else if (expected === "same") {
    test("returns the same object", () => {
      expect(take()).toBe(from);
    });
  } else {
    test("gives that status, and the next version unless it only renews the lease", () => {
      const to = take();
      expect(to.status).toBe(expected);
      expect(to.version).toBe(step === "extend" ? from.version : from.version + 1);
      expect(to.updatedAt).toBe(step === "extend" ? from.updatedAt : NOON);
    });

    test("keeps the shape of a task: a lease and an end only where the status has them, and the same keys in the same order", () => {
      const to = take();
      expect(to.lease !== null).toBe(expected === "running");
      expect(to.finishedAt !== null).toBe(["done", "failed", "cancelled"].includes(expected));
      expect(Object.keys(to)).toEqual(KEYS);
    });

    test("does not change the other fields", () => {
      const { id, createdAt, type, key, tags, payload, priority, maxAttempts, backoff, timeoutMs } = from;
      expect(take()).toMatchObject({
        id,
        createdAt,
        type,
        key,
        tags,
        payload,
        priority,
        maxAttempts,
        backoff,
        timeoutMs,
      });
    });
  }
});

test("the table has a cell for every state and every step", () => {
  expect(Object.keys(MATRIX).sort()).toEqual(Object.keys(STATES).sort());
  expect([...COLUMNS].sort()).toEqual((Object.keys(STEPS) as StepName[]).sort());
  for (const row of Object.values(MATRIX)) expect(row).toHaveLength(COLUMNS.length);
});

// ---- creation

describe("a new task", () => {
  const DEFAULTS = { delayMs: 500, timeoutMs: 9_000, maxAttempts: 4, backoff: { baseMs: 1, maxMs: 2 } };

  test("takes the fields that are not given from the defaults of its type", () => {
    expect(create({ name: "n" }, DEFAULTS, NOON)).toEqual({
      id: NO_ID,
      version: 1,
      name: "n",
      description: "",
      type: DEFAULT_TYPE,
      payload: null,
      priority: 0,
      tags: [],
      labels: {},
      key: null,
      runAt: NOON + 500,
      timeoutMs: 9_000,
      maxAttempts: 4,
      backoff: { baseMs: 1, maxMs: 2 },
      createdAt: NOON,
      updatedAt: NOON,
      claims: 0,
      token: null,
      attempt: 0,
      failures: 0,
      losses: 0,
      workedMs: 0,
      attempts: [],
      startedAt: null,
      progress: null,
      result: null,
      error: null,
      status: "pending",
      lease: null,
      finishedAt: null,
    });
  });

  test("takes the given fields rather than the defaults", () => {
    const said = {
      name: "n",
      description: "d",
      type: "video",
      payload: '{"a":1}',
      priority: -5,
      tags: ["x"],
      key: "k",
      timeoutMs: 1,
      maxAttempts: 9,
      backoff: { baseMs: 3, maxMs: 4 },
    };
    expect(create(deepFreeze({ ...said, delayMs: 7 }), DEFAULTS, NOON)).toMatchObject({
      ...said,
      runAt: NOON + 7,
    });
  });

  test.each([
    ["at the given time", { runAt: NOON + 42 }, NOON + 42],
    ["at the given time, even in the past", { runAt: 1 }, 1],
    ["at the given time rather than after a delay", { runAt: 1, delayMs: 9 }, 1],
    ["after the given delay", { delayMs: 0 }, NOON],
    ["after the delay of its type", {}, NOON + 500],
  ])("is due %s", (_when, spec, runAt) => {
    expect(create({ name: "n", ...spec }, DEFAULTS, NOON).runAt).toBe(runAt);
  });

  test("may have no timeout although its type has one", () => {
    expect(create({ name: "n", timeoutMs: null }, DEFAULTS, NOON).timeoutMs).toBeNull();
  });

  test("by default runs up to three times with a backoff from a second to an hour", () => {
    expect(TYPE_DEFAULTS).toEqual({
      delayMs: 0,
      timeoutMs: null,
      maxAttempts: 3,
      backoff: { baseMs: SECOND, maxMs: 3_600 * SECOND },
    });
  });
});

// ---- claims and tokens

describe("a claim", () => {
  const by = { worker: "worker-2", leaseMs: LEASE_MS, nonce: "b" };

  test("begins an attempt with a lease of the requested length", () => {
    expect(claim(pendingTask(), by, NOON)).toMatchObject({
      claims: 1,
      token: "1.b",
      attempt: 1,
      startedAt: NOON,
      lease: { worker: "worker-2", until: NOON + LEASE_MS, leaseMs: LEASE_MS, revokeAt: null },
    });
  });

  test("removes the progress of the attempt before, and keeps its error", () => {
    const before = pendingTask({ progress: { percent: 40, message: "m" }, error: BROKEN });
    expect(claim(before, by, NOON)).toMatchObject({ progress: null, error: BROKEN });
  });

  test.each([
    [NOON - 1, true],
    [NOON, true],
    [NOON + 1, false],
  ])("at NOON of a task that is due at %d is possible: %p", (runAt, possible) => {
    expect(isClaimable(pendingTask({ runAt }), NOON)).toBe(possible);
  });

  test("is never possible for a running or ended task", () => {
    for (const task of [runningTask(), endedTask("done"), endedTask("failed"), endedTask("cancelled")]) {
      expect(isClaimable(task, NOON)).toBe(false);
    }
  });

  test("has a token that differs from the token of each earlier claim", () => {
    expect([nextToken(0, "x"), nextToken(1, "x"), nextToken(10, "x")]).toEqual(["1.x", "2.x", "11.x"]);
  });
});

describe("a task with many attempts", () => {
  const begin = (task: Task, at: number): Task =>
    deepFreeze(claim(task, { worker: "worker-1", leaseMs: LEASE_MS, nonce: "n" }, at));
  const finish = (task: Task, outcome: Outcome, at: number): Task =>
    deepFreeze(settled(task, outcome, { now: at, random: 0 }));

  /** Each line: how the attempt ends, and the counters of the task after it. */
  const LIFE: readonly [end: "released" | "failed" | "lost" | "done" | "retry", Partial<Task>][] = [
    ["released", { claims: 1, token: "1.n", attempt: 0, failures: 0, losses: 0 }],
    ["failed", { claims: 2, token: "2.n", attempt: 1, failures: 1, losses: 0 }],
    ["released", { claims: 3, token: "3.n", attempt: 1, failures: 1, losses: 0 }],
    ["lost", { claims: 4, token: "4.n", attempt: 2, failures: 1, losses: 1 }],
    ["failed", { claims: 5, token: "5.n", attempt: 3, failures: 2, losses: 1 }],
    ["lost", { claims: 6, token: "6.n", attempt: 4, failures: 2, losses: 2 }],
    ["released", { claims: 7, token: "7.n", attempt: 4, failures: 2, losses: 2 }],
    ["done", { claims: 8, token: "8.n", attempt: 5, failures: 2, losses: 2 }],
    ["retry", { claims: 8, token: "8.n", attempt: 0, failures: 0, losses: 0 }],
    ["failed", { claims: 9, token: "9.n", attempt: 1, failures: 1, losses: 0 }],
  ];

  function live(): { task: Task; said: Partial<Task> }[] {
    let task: Task = pendingTask({ runAt: NOON });
    let now = NOON;
    return LIFE.map(([end]) => {
      if (end === "retry") task = deepFreeze(retry(task, now));
      else {
        const held = begin(task, now);
        now += end === "lost" ? 40 * SECOND : SECOND;
        task = end === "lost" ? deepFreeze(expire(held, now)) : finish(held, outcomeOf(end), now);
      }
      const { claims, token, attempt, failures, losses } = task;
      return { task, said: { claims, token, attempt, failures, losses } };
    });
  }

  const outcomeOf = (end: "released" | "failed" | "done"): Outcome =>
    end === "released" ? released() : end === "failed" ? failed() : done();

  test("counts claims upwards only, counts a lost start, does not count a released one, and counts from zero after a manual retry", () => {
    expect(live().map(({ said }) => said)).toEqual(LIFE.map(([, said]) => said));
  });

  test("has each attempt in its history with the number that the attempt had then", () => {
    const history = live().at(-1)?.task.attempts ?? [];
    expect(history.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
      [1, "released"],
      [1, "failed"],
      [2, "released"],
      [2, "lost"],
      [3, "failed"],
      [4, "lost"],
      [5, "released"],
      [5, "done"],
      [1, "failed"],
    ]);
  });

  test("adds up the work of all attempts; a lost attempt counts up to the end of its lease", () => {
    const worked = live().map(({ task }) => task.workedMs / SECOND);
    expect(worked).toEqual([1, 2, 3, 33, 34, 64, 65, 66, 66, 67]);
  });

  test("keeps the last twenty attempts in its history", () => {
    let task: Task = pendingTask({ runAt: NOON });
    for (let i = 0; i < 25; i++) task = finish(begin(task, NOON + i), released(), NOON + i + 1);
    expect(task.attempts.map(({ finishedAt }) => finishedAt - NOON)).toEqual(
      Array.from({ length: 20 }, (_, i) => i + 6),
    );
    expect(task).toMatchObject({ claims: 25, attempt: 0, version: 5 + 50, workedMs: 25 });
  });
});

// ---- heartbeats

describe("a heartbeat", () => {
  const beat = (task: Task, now: number, progress: Task["progress"] = null) =>
    extend(task, { token: "1.a", progress }, now);

  test.each([
    ["to a lease's length from now", NOON + 1, 20_000, NOON + 1 + LEASE_MS],
    ["by at least a millisecond, when it is already more than one length ahead", NOON, 60_000, NOON + 60_001],
    ["by at least a millisecond, when the clock went back", NOON - 15 * SECOND, 20_000, NOON + 20_001],
    ["at the last moment", NOON + 19_999, 20_000, NOON + 19_999 + LEASE_MS],
    [
      "also after that end, as long as the lease was not judged",
      NOON + 90_000,
      20_000,
      NOON + 90_000 + LEASE_MS,
    ],
  ])("raises the end of the lease %s", (_how, now, left, until) => {
    expect(beat(runningTask({}, { until: NOON + left }), now).lease.until).toBe(until);
  });

  test("is refused after the lease was judged", () => {
    expect(beat(runningTask(), NOON + 20_000).lease.until).toBe(NOON + 20_000 + LEASE_MS);
    const lost = deepFreeze(expire(runningTask(), NOON + 20_000));
    expect(refusal(() => beat(lost, NOON + 20_000)).code).toBe("lease_lost");
  });

  test("moves an end that is too far ahead, because the clock was set back, to one length from now", () => {
    const farAhead = (ms: number) => beat(runningTask({}, { until: NOON + ms }), NOON).lease.until;
    expect(farAhead(2 * LEASE_MS)).toBe(NOON + 2 * LEASE_MS + 1); // clocks may differ by one length
    expect(farAhead(2 * LEASE_MS + 1)).toBe(NOON + LEASE_MS);
    expect(farAhead(3_600_000)).toBe(NOON + LEASE_MS);
  });

  test("after the grace of a cancel request does not delay the revocation", () => {
    const asked = deepFreeze(cancel(runningTask(), NOON));
    const late = beat(asked, NOON + CANCEL_GRACE_MS + 1_000);
    expect(late.lease).toMatchObject({ until: NOON + CANCEL_GRACE_MS + 1_000 + LEASE_MS });
    expect(expiresAt(late)).toBe(NOON + CANCEL_GRACE_MS);
    expect(expire(late, NOON + CANCEL_GRACE_MS + 1_000).status).toBe("cancelled");
  });

  test("may bring progress; without it the earlier progress stays", () => {
    const half = { percent: 50, message: "half" };
    const halfway = beat(runningTask(), NOON, half);
    expect(halfway.progress).toEqual(half);
    expect(beat(deepFreeze(halfway), NOON + 1).progress).toEqual(half);
  });

  test("changes only the lease's end and the progress", () => {
    const before = runningTask({ progress: { percent: 1, message: "" } }, { revokeAt: NOON + 5_000 });
    const after = beat(before, NOON + 1, { percent: 2, message: "" });
    expect({ ...after, progress: null, lease: { ...after.lease, until: 0 } }).toEqual({
      ...before,
      progress: null,
      lease: { ...before.lease, until: 0 },
    });
    expect(after.lease.revokeAt).toBe(NOON + 5_000);
  });
});

// ---- ends of attempts

describe("a success", () => {
  test("ends the task with its result, and removes the error of earlier attempts", () => {
    const task = settled(runningTask({ error: BROKEN, failures: 1, workedMs: 3_000 }), done('{"a":1}'));
    expect(task).toMatchObject({
      status: "done",
      result: '{"a":1}',
      error: null,
      finishedAt: NOON,
      failures: 1,
    });
    expect(task.workedMs).toBe(13_000);
    expect(task.attempts).toEqual([{ ...attempt("done"), finishedAt: NOON }]);
  });

  test.each([
    [null, null],
    [
      { percent: 40, message: "encoding" },
      { percent: 100, message: "encoding" },
    ],
  ])("turns a progress of %j into %j", (progress, whole) => {
    expect(settled(runningTask({ progress }), done()).progress).toEqual(whole);
  });

  test("counts although a cancel was requested", () => {
    expect(settled(runningTask({}, { revokeAt: NOON + 1 }), done()).status).toBe("done");
  });
});

describe("a result", () => {
  const MIB = 1_048_576;
  const quoted = (text: string) => `"${text}"`;

  test.each([
    ["1 MiB of ASCII", quoted("a".repeat(MIB - 2)), true],
    ["one byte more", quoted("a".repeat(MIB - 1)), false],
    ["a third of 1 MiB of ASCII, where counting begins", quoted("a".repeat(Math.ceil(MIB / 3))), true],
    ["1 MiB of two-byte letters", quoted("\u00e9".repeat(MIB / 2 - 1)), true],
    ["one two-byte letter more", quoted("\u00e9".repeat(MIB / 2)), false],
    ["1 MiB of three-byte letters", quoted(`\u20ac${"\u20ac".repeat((MIB - 4) / 3 - 1)}aa`), true],
    ["one byte more than that", quoted(`\u20ac${"\u20ac".repeat((MIB - 4) / 3 - 1)}aaa`), false],
    ["1 MiB of four-byte letters", quoted(`${"\u{1f600}".repeat(MIB / 4 - 1)}aa`), true],
    ["again one byte more", quoted(`${"\u{1f600}".repeat(MIB / 4 - 1)}aaa`), false],
  ])("of %s is kept: %p", (_size, result, kept) => {
    expect(Buffer.byteLength(result) <= MIB).toBe(kept);
    const task = settled(runningTask(), done(result));
    expect(task.status).toBe(kept ? "done" : "failed");
    expect(task.result).toBe(kept ? result : null);
    expect(task.error?.code ?? null).toBe(kept ? null : "result_too_large");
  });

  const HUGE = quoted("a".repeat(MIB));

  test("that is too large fails the task without a retry, and the error has both sizes", () => {
    const task = settled(runningTask({ maxAttempts: 9 }), done(HUGE));
    expect(task).toMatchObject({ status: "failed", failures: 1, finishedAt: NOON });
    expect(task.error?.message).toBe("The result has 1048578 bytes; at most 1048576 are kept");
    expect(task.attempts.at(-1)).toMatchObject({ outcome: "failed", error: { code: "result_too_large" } });
  });

  test("that is too large may be reported again; another outcome is refused", () => {
    const task = deepFreeze(settled(runningTask(), done(HUGE)));
    expect(settled(task, done(HUGE))).toBe(task);
    expect(refusal(() => settled(task, failed())).code).toBe("lease_lost");
  });

  test("that is too large is a failure: after a cancel request the task ends as cancelled", () => {
    expect(settled(runningTask({}, { revokeAt: NOON + 1 }), done(HUGE)).status).toBe("cancelled");
  });
});

describe("a failure", () => {
  test("makes the task wait for its next attempt as the backoff says", () => {
    const task = settled(runningTask({ failures: 1, maxAttempts: 3 }), failed(), { random: 0.5 });
    expect(task).toMatchObject({
      status: "pending",
      failures: 2,
      runAt: NOON + 1_000,
      error: BROKEN,
      attempt: 1,
    });
    expect(task.attempts).toEqual([{ ...attempt("failed", BROKEN), finishedAt: NOON }]);
  });

  test.each([
    ["the last one that max_attempts allows", { failures: 2, maxAttempts: 3 }, failed()],
    ["the only one", { failures: 0, maxAttempts: 1 }, failed()],
    ["beyond a max_attempts that was lowered meanwhile", { failures: 4, maxAttempts: 2 }, failed()],
    ["reported as final by its worker", { failures: 0, maxAttempts: 9 }, final(BROKEN)],
  ])("ends the task when it is %s", (_which, fields, outcome) => {
    expect(settled(runningTask(fields), outcome)).toMatchObject({
      status: "failed",
      failures: fields.failures + 1,
      error: BROKEN,
      finishedAt: NOON,
    });
  });

  test("makes the task wait as long as its worker asks for", () => {
    expect(settled(runningTask(), failed(BROKEN, 90_000)).runAt).toBe(NOON + 90_000);
    expect(settled(runningTask(), failed(BROKEN, 0)).runAt).toBe(NOON);
  });

  test("is counted apart from lost leases", () => {
    const task = settled(runningTask({ losses: 2, failures: 0, maxAttempts: 2, attempt: 3 }), failed());
    expect(task).toMatchObject({ status: "pending", failures: 1, losses: 2 });
  });

  test("after a cancel request ends the task as cancelled, keeps the error, and is not counted", () => {
    const task = settled(runningTask({ failures: 1 }, { revokeAt: NOON + 1 }), failed());
    expect(task).toMatchObject({ status: "cancelled", error: BROKEN, failures: 1, finishedAt: NOON });
    expect(task.attempts.at(-1)).toMatchObject({ outcome: "cancelled", error: BROKEN });
  });
});

describe("a release", () => {
  test.each([0, 10_000])("makes the task due in %d ms and does not count the attempt", (delayMs) => {
    const task = settled(
      runningTask({ attempt: 3, failures: 1, losses: 1, error: BROKEN }),
      released(delayMs),
    );
    expect(task).toMatchObject({
      status: "pending",
      runAt: NOON + delayMs,
      attempt: 2,
      failures: 1,
      losses: 1,
    });
    expect(task).toMatchObject({ error: BROKEN, claims: 1, token: "1.a" });
    expect(task.attempts.at(-1)).toMatchObject({ attempt: 3, outcome: "released", error: null });
  });

  test("after a cancel request ends the task as cancelled", () => {
    const task = settled(runningTask({}, { revokeAt: NOON + 1 }), released(10_000));
    expect(task).toMatchObject({ status: "cancelled", error: null, finishedAt: NOON });
    expect(task.attempts.at(-1)).toMatchObject({ outcome: "cancelled" });
  });
});

describe("a loss that is reported at once", () => {
  test.each([
    [0, "pending"],
    [1, "pending"],
    [2, "failed"],
  ] as const)("after %d earlier losses leaves the task %s, with the reason", (losses, status) => {
    const task = settled(runningTask({ losses, failures: 1, attempt: 4 }), died());
    const message = `Its process ended (loss ${losses + 1} of 3)`;
    expect(task).toMatchObject({ status, losses: losses + 1, failures: 1, attempt: 4 });
    expect(task.error).toEqual({ code: "worker_lost", message });
    expect(task.attempts.at(-1)).toMatchObject({ outcome: "lost", finishedAt: NOON });
    if (status === "pending") expect(task.runAt).toBe(NOON);
  });

  test("of a task with a cancel request is not counted as a loss", () => {
    const task = settled(runningTask({ losses: 2 }, { revokeAt: NOON + 1 }), died());
    expect(task).toMatchObject({ status: "cancelled", losses: 2, error: null });
  });

  test("may be reported again, and also after lease judging has found it", () => {
    const said = deepFreeze(settled(runningTask(), died()));
    const found = deepFreeze(expire(runningTask(), NOON + 20_000));
    for (const task of [said, found]) expect(settled(task, died(), { now: NOON + 60_000 })).toBe(task);
  });
});

describe("an outcome that is reported again", () => {
  const OUTCOMES: Record<string, Outcome> = {
    done: done('"r"'),
    failed: failed(),
    final: final(),
    released: released(5),
  };
  const EXPECTED = Object.keys(OUTCOMES).flatMap((first) =>
    Object.keys(OUTCOMES).map((second) => ({ first, second, answered: first === second })),
  );

  for (const [when, begun] of [
    ["", runningTask()],
    [", after a cancel request", runningTask({}, { revokeAt: NOON + 1 })],
  ] as const) {
    test.each(EXPECTED)(
      `first $first, then $second${when}: accepted $answered`,
      ({ first, second, answered }) => {
        const [one, two] = [OUTCOMES[first] as Outcome, OUTCOMES[second] as Outcome];
        const task = deepFreeze(settled(begun, one));
        const again = (): Task => settled(task, two, { now: NOON + 3_600_000, random: 0.1 });
        if (answered) expect(again()).toBe(task);
        else expect(refusal(again).code).toBe("lease_lost");
      },
    );
  }

  test.each(["done", "failed", "final", "released"])("as %s is accepted until the next claim", (name) => {
    const outcome = OUTCOMES[name] as Outcome;
    const ended = deepFreeze(settled(runningTask(), outcome));
    const waiting = ended.status === "pending" ? ended : deepFreeze(retry(ended, NOON));
    expect(settled(waiting, outcome, { token: "1.a" })).toBe(waiting);
    const next = claim(
      { ...waiting, runAt: NOON },
      { worker: "worker-2", leaseMs: LEASE_MS, nonce: "b" },
      NOON,
    );
    expect(refusal(() => settled(next, outcome, { token: "1.a" })).code).toBe("lease_lost");
  });

  test("as failed is refused if its message differs", () => {
    const task = deepFreeze(settled(runningTask(), failed()));
    expect(refusal(() => settled(task, failed({ ...BROKEN, message: "Other" }))).code).toBe("lease_lost");
  });

  test("is refused after a loss: a worker that lost its lease has reported nothing before", () => {
    const task = deepFreeze(expire(runningTask(), NOON + 20_000));
    for (const outcome of Object.values(OUTCOMES)) {
      expect(refusal(() => settled(task, outcome)).code).toBe("lease_lost");
    }
  });

  test("is refused after a revocation, which is not an outcome that the worker has reported", () => {
    const task = deepFreeze(expire(runningTask({}, { revokeAt: NOON }), NOON));
    expect(refusal(() => settled(task, failed())).code).toBe("lease_lost");
    expect(refusal(() => settled(task, done())).code).toBe("lease_lost");
  });
});

// ---- ends of leases

describe("a lease that runs out", () => {
  test("is a loss: the task is due at once, and its attempt stays counted", () => {
    const task = expire(runningTask({ failures: 1 }), NOON + 20_000);
    expect(task).toMatchObject({
      status: "pending",
      runAt: NOON + 20_000,
      losses: 1,
      failures: 1,
      attempt: 1,
    });
    expect(task.error).toEqual({
      code: "worker_lost",
      message: "Worker worker-1 sent no heartbeat before its lease ran out (loss 1 of 3)",
    });
  });

  test("ends also if its end is too far ahead because the clock was set back", () => {
    const overlong = runningTask({}, { until: NOON + 2 * LEASE_MS + 1 });
    expect(isOverlong(overlong, NOON)).toBe(true);
    expect(expire(overlong, NOON)).toMatchObject({ status: "pending", losses: 1, runAt: NOON });
    const long = runningTask({}, { until: NOON + 2 * LEASE_MS });
    expect(isOverlong(long, NOON)).toBe(false);
    expect(expire(long, NOON)).toBe(long);
  });

  test.each([
    [2 * CANCEL_GRACE_MS, false],
    [2 * CANCEL_GRACE_MS + 1, true],
  ])("with a cancel request whose grace ends in %d ms shows that the clock was set back: %p", (ms, isIt) => {
    const task = runningTask({}, { revokeAt: NOON + ms });
    expect(isOverlong(task, NOON)).toBe(isIt);
    expect(expire(task, NOON).status).toBe(isIt ? "cancelled" : "running");
  });

  test("counts work up to its end only", () => {
    const task = expire(runningTask({ workedMs: 500 }), NOON + 3_600_000);
    expect(task.workedMs).toBe(30_500);
    expect(task.attempts.at(-1)).toMatchObject({ outcome: "lost", finishedAt: NOON + 20_000 });
    expect(task.updatedAt).toBe(NOON + 3_600_000);
  });

  test.each([
    [0, "pending"],
    [1, "pending"],
    [2, "failed"],
    [3, "failed"],
  ] as const)("after %d losses leaves the task %s, for any number of attempts left", (losses, status) => {
    for (const maxAttempts of [1, 99]) {
      const task = expire(runningTask({ losses, maxAttempts }), NOON + 20_000);
      expect(task).toMatchObject({ status, losses: losses + 1, error: { code: "worker_lost" } });
    }
  });

  test("has not run out a millisecond before its end", () => {
    const task = runningTask();
    expect(expire(task, NOON + 19_999)).toBe(task);
  });

  test("ends a task with a cancel request as cancelled, and is not counted as a loss", () => {
    const task = expire(runningTask({ losses: 2 }, { revokeAt: NOON + 60_000 }), NOON + 20_000);
    expect(task).toMatchObject({ status: "cancelled", losses: 2, error: null });
    expect(task.attempts.at(-1)).toMatchObject({ outcome: "cancelled" });
  });
});

describe("a cancel request", () => {
  test("gives a running task thirty seconds", () => {
    const task = cancel(runningTask(), NOON);
    expect(CANCEL_GRACE_MS).toBe(30 * SECOND);
    expect(task).toMatchObject({
      status: "running",
      lease: { revokeAt: NOON + 30 * SECOND, until: NOON + 20_000 },
    });
  });

  test("shows on the task", () => {
    expect(isCancelRequested(cancel(runningTask(), NOON))).toBe(true);
    for (const task of [runningTask(), pendingTask(), endedTask("cancelled")]) {
      expect(isCancelRequested(task)).toBe(false);
    }
  });

  test("that is repeated does not lengthen the grace", () => {
    const asked = deepFreeze(cancel(runningTask(), NOON));
    expect(cancel(asked, NOON + 29 * SECOND)).toBe(asked);
  });

  test("ends a pending task at once, and adds no attempt to its history", () => {
    const task = cancel(pendingTask({ runAt: NOON + 1_000 }), NOON);
    expect(task).toMatchObject({ status: "cancelled", finishedAt: NOON, attempts: [], error: null });
  });

  test("revokes the lease when its grace is over and not before, although the worker sends heartbeats", () => {
    const task = runningTask({}, { until: NOON + 60_000, revokeAt: NOON + 30_000 });
    expect(expire(task, NOON + 29_999)).toBe(task);
    expect(expire(task, NOON + 30_000)).toMatchObject({
      status: "cancelled",
      finishedAt: NOON + 30_000,
      losses: 0,
    });
    expect(expire(task, NOON + 30_000).workedMs).toBe(40_000);
  });

  test.each([
    [{ until: 100, revokeAt: null }, 100],
    [{ until: 100, revokeAt: 50 }, 50],
    [{ until: 100, revokeAt: 150 }, 100],
  ])("with the lease %j lets the task expire at %d", (lease, at) => {
    expect(expiresAt(runningTask({}, lease))).toBe(at);
  });

  test("is refused for an ended task, and the message names its status", () => {
    for (const status of ["done", "failed", "cancelled"] as const) {
      expect(refusal(() => cancel(endedTask(status), NOON)).message).toBe(`Task 7 is already ${status}`);
    }
  });
});

// ---- retry and edit

describe("a manual retry", () => {
  const ended = endedTask("failed", {
    runAt: NOON - 60_000,
    attempt: 3,
    failures: 3,
    losses: 2,
    claims: 5,
    token: "5.x",
    result: '"r"',
    error: BROKEN,
    progress: { percent: 10, message: "" },
    attempts: [attempt("failed", BROKEN)],
  });

  test("makes the task due now, with attempts counted from zero and no fields of its end", () => {
    expect(retry(ended, NOON)).toMatchObject({
      status: "pending",
      runAt: NOON,
      attempt: 0,
      failures: 0,
      losses: 0,
      progress: null,
      result: null,
      error: null,
      finishedAt: null,
    });
  });

  test("keeps the history, the worked time, the claims and the token", () => {
    const { attempts, workedMs, claims, token } = ended;
    expect(retry(ended, NOON)).toMatchObject({ attempts, workedMs, claims, token });
  });

  test.each([
    [pendingTask(), "Task 7 is pending; only an ended task can be retried"],
    [runningTask(), "Task 7 is running; only an ended task can be retried"],
  ])("%#: is refused for a live task", (task, message) => {
    expect(refusal(() => retry(task, NOON)).message).toBe(message);
  });
});

describe("an edit", () => {
  const ANY_TIME: readonly TaskPatch[] = [{ name: "new" }, { description: "" }, { tags: ["a", "b"] }];
  const PENDING_ONLY: readonly TaskPatch[] = [
    { payload: '{"b":2}' },
    { payload: null },
    { priority: 1_000 },
    { runAt: NOON + 9 },
    { timeoutMs: 5_000 },
    { timeoutMs: null },
    { maxAttempts: 1 },
  ];
  const ENDS = [endedTask("done"), endedTask("failed"), endedTask("cancelled")];

  test.each([...ANY_TIME, ...PENDING_ONLY].map((patch) => [patch]))(
    "of a pending task changes only %j",
    (patch) => {
      const before = pendingTask();
      const after = edit(before, deepFreeze(patch), NOON);
      expect(after).toEqual({ ...before, ...patch, version: 6, updatedAt: NOON } as Task);
      expect(Object.keys(after)).toEqual(KEYS);
    },
  );

  test.each(ANY_TIME.map((patch) => [patch]))("of %j is allowed in every status", (patch) => {
    for (const task of [runningTask(), ...ENDS])
      expect(edit(task, patch, NOON)).toMatchObject({ ...patch, version: 6 });
  });

  test.each(PENDING_ONLY.map((patch) => [patch]))(
    "of %j is refused once the task runs or has ended",
    (patch) => {
      for (const task of [runningTask(), ...ENDS]) {
        expect(refusal(() => edit(task, patch, NOON)).code).toBe("wrong_status");
      }
    },
  );

  test("that is refused names the fields that cannot be changed, and changes none", () => {
    const { message } = refusal(() =>
      edit(runningTask(), { name: "new", priority: 1, maxAttempts: 2 }, NOON),
    );
    expect(message).toBe("Task 7 is running; priority, max_attempts can be changed only while it is pending");
  });
});

test.each([
  [endedTask("done"), pendingTask(), true],
  [pendingTask(), runningTask(), false],
  [runningTask(), pendingTask(), false],
  [runningTask(), endedTask("done"), false],
  [endedTask("done"), endedTask("done"), false],
] as const)("%#: a step enters life only from an ended to a live status", (from, to, enters) => {
  expect(entersLife(from, to)).toBe(enters);
});
