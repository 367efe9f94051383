/** Creates tasks in every status, with histories, keys and log lines, through the port, and reads the whole content of a store. */
import {
  cancel,
  create,
  expire,
  retry,
  settle,
  type TaskSpec,
  TYPE_DEFAULTS,
} from "../../src/core/lifecycle.ts";
import type { Outcome } from "../../src/core/outcome.ts";
import type { Draft, RunningTask, Task, TaskId } from "../../src/core/task.ts";
import type { Cursor, NewLogLine, TaskPage, TaskRecord, TaskStore } from "../../src/store/store.ts";

const HOUR_MS = 3_600_000;
const AT_ONCE = 1_000;
/** A store bounds the number of calls that wait for its connections, and calls that wait too long fail. */
const LOGS_AT_ONCE = 50;

type Kind = {
  readonly spec?: Partial<TaskSpec>;
  /** The change after the claim. Without it, the task is never claimed. */
  readonly change?: (task: RunningTask, now: number) => Task;
  readonly log?: readonly NewLogLine[];
};

const settled =
  (outcome: Outcome) =>
  (task: RunningTask, now: number): Task =>
    settle(task, { token: task.token, outcome }, now + 1_234, 0.5);

const FAILURE = { code: "handler_error", message: "it broke: 'quoted' \\ Ж 🙂" };
const failed = (retryable: boolean) =>
  settled({ kind: "failed", error: FAILURE, retryable, retryAfterMs: 60_000 });

const lines = (count: number): NewLogLine[] =>
  Array.from({ length: count }, (_, n) => ({ level: n % 7 === 0 ? "warn" : "info", message: `line ${n} Ж` }));

/** The kinds of tasks, which are used in turn. */
const KINDS: readonly Kind[] = [
  {},
  { spec: { payload: '{"z":1,"a":"\\u0000 Ж"}', tags: ["a", "ü"], priority: -3 } },
  {
    spec: {
      runAt: Date.UTC(2100, 0, 1),
      timeoutMs: 5_000,
      maxAttempts: 7,
      backoff: { baseMs: 5, maxMs: 50 },
    },
  },
  { change: (task) => task, log: lines(3) },
  { change: cancel, log: lines(1) },
  { spec: { payload: "[1]" }, change: settled({ kind: "done", result: '{"b":2,"a":1}' }), log: lines(20) },
  { spec: { description: "ends badly" }, change: failed(false), log: lines(2) },
  { change: failed(true) },
  { change: settled({ kind: "released", delayMs: 5_000 }) },
  { change: (task) => expire(task, task.lease.until) },
  { change: (task, now) => retry(failed(false)(task, now), now + 2_000) },
  { spec: { tags: ["long log"] }, change: settled({ kind: "done", result: null }), log: lines(1_005) },
];

const CANCELLED = 13;

function draftOf(n: number, now: number): Draft {
  const kind = n % KINDS.length;
  const key = n % 2 === 0 ? `key ${n}` : null;
  const spec = { name: `task ${n} Ж`, type: `kind.${kind}`, key, ...KINDS[kind]?.spec };
  return create(spec, TYPE_DEFAULTS, now);
}

/** Fills an empty store with this number of tasks. Long logs are in the first few only: there are a thousand lines in each. */
export async function populate(store: TaskStore, count: number): Promise<void> {
  const now = await store.now();
  for (let made = 0; made < count; made += AT_ONCE) {
    const drafts = Array.from({ length: Math.min(AT_ONCE, count - made) }, (_, n) => draftOf(made + n, now));
    await store.insert([{ drafts, idempotency: null }], now);
  }
  for (const [kind, { change, log = [] }] of KINDS.entries()) {
    if (change === undefined) continue;
    for (;;) {
      const tasks = await claim(store, `kind.${kind}`, now);
      if (tasks.length === 0) break;
      await beat(store, tasks, log, now);
      const beaten = (await store.get(tasks.map(({ id }) => id))) as RunningTask[]; // claimed and beaten just now
      const steps = beaten.map((from) => ({ from, to: stepped(from, change, now) }));
      await store.replace(steps.filter(({ from, to }) => from !== to));
    }
  }
  await cancelSome(store, now);
}

/** A step of two rules raises the version once. */
const stepped = (from: RunningTask, change: NonNullable<Kind["change"]>, now: number): Task => {
  const to = change(from, now);
  return to === from ? to : { ...to, version: from.version + 1 };
};

async function claim(store: TaskStore, type: string, now: number): Promise<RunningTask[]> {
  const ask = { worker: "worker Ж", types: [type], max: 250, leaseMs: HOUR_MS };
  const [tasks = []] = await store.claim([ask], { now, nonce: "n" });
  return tasks;
}

async function beat(
  store: TaskStore,
  tasks: readonly RunningTask[],
  log: readonly NewLogLine[],
  now: number,
): Promise<void> {
  const beats = tasks.map(({ id, token }, n) => ({
    ...{ id, token },
    progress: n % 2 === 0 ? { percent: 12.5, message: "an eighth Ж" } : null,
    log: n < 3 ? log : log.slice(0, 3),
  }));
  await store.extend(beats, now + 1);
}

async function cancelSome(store: TaskStore, now: number): Promise<void> {
  const tasks = await readTasks(store);
  const some = tasks.filter(({ status, id }) => status === "pending" && id % CANCELLED === 0);
  await store.replace(some.map((from) => ({ from, to: cancel(from, now + 3_000) })));
}

/** All tasks in the order of their ids. */
export async function readTasks(store: TaskStore): Promise<Task[]> {
  const tasks: Task[] = [];
  let after: Cursor | null = null;
  do {
    const page: TaskPage = await store.list({ filter: {}, sort: "id", after, limit: AT_ONCE });
    tasks.push(...page.tasks);
    after = page.next;
  } while (after !== null);
  return tasks;
}

/** The whole content of the store. */
export async function readAll(store: TaskStore): Promise<Map<TaskId, TaskRecord>> {
  const records = new Map<TaskId, TaskRecord>();
  const tasks = await readTasks(store);
  for (let at = 0; at < tasks.length; at += LOGS_AT_ONCE) {
    const part = tasks.slice(at, at + LOGS_AT_ONCE).map(async (task) => {
      records.set(task.id, { task, log: await store.readLog(task.id, 0) });
    });
    await Promise.all(part);
  }
  return records;
}
