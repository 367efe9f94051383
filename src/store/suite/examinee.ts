/** The tools of every topic of the exam: an empty store and short functions for calls on it. */
import { expect } from "bun:test";
import { cancel, claim, create, settle, type TaskSpec, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { Draft, EndedStatus, PendingTask, RunningTask, Task, TaskId } from "../../core/task.ts";
import type {
  Beat,
  Change,
  Cursor,
  Position,
  ReplaceAnswer,
  Sort,
  TaskFilter,
  TaskPage,
  TaskStore,
} from "../store.ts";

/** A store without a task, as an adapter's test opens it for each case. */
export type Opened = {
  readonly store: TaskStore;
  /** A second connection to the same tasks, as another process has it; the same store if one process holds all. */
  readonly peer: TaskStore;
  /** The store's time, epoch milliseconds. */
  now(): number;
  /** Makes every change so far older than the kept part of the change log. */
  forgetChanges(): Promise<void>;
  close(): Promise<void>;
};

/** Adds a case to the exam; its name is the statement that it proves. */
export type Exam = (claim: string, body: (examinee: Examinee) => Promise<void>) => void;

export type Spec = Partial<TaskSpec>;
export type Terms = { readonly at: number; readonly max: number; readonly leaseMs: number } & Names;
type Names = { readonly worker: string; readonly nonce: string };

export const LEASE_MS = 30_000;
export const HOUR_MS = 3_600_000;

export const DONE = { kind: "done", result: null } as const satisfies Outcome;
export const RELEASED = { kind: "released", delayMs: 0 } as const satisfies Outcome;
export const FAILED = {
  kind: "failed",
  error: { code: "handler_error", message: "it broke" },
  retryable: false,
  retryAfterMs: null,
} as const satisfies Outcome;

export type Examinee = ReturnType<typeof createExaminee>;

export function createExaminee(opened: Opened) {
  const { store } = opened;
  /** The time when the case begins; later times are added to it. */
  const t = opened.now();

  const draft = (spec: Spec = {}, at = t): Draft => create({ name: "a task", ...spec }, TYPE_DEFAULTS, at);

  /** Creates tasks, a request each, in one call. */
  async function addAll(specs: readonly Spec[], at = t): Promise<PendingTask[]> {
    const requests = specs.map((spec) => ({ drafts: [draft(spec, at)], idempotency: null }));
    const answers = await store.insert(requests, at);
    return answers.map((answer, index) => {
      if (answer.kind !== "created") throw new Error(`expected the task to be created, got ${answer.kind}`);
      return { ...draft(specs[index], at), id: only(answer.tasks).id };
    });
  }

  const add = async (spec: Spec = {}, at = t): Promise<PendingTask> => only(await addAll([spec], at));

  async function find(id: TaskId): Promise<Task | null> {
    return only(await store.get([id]));
  }

  async function see(id: TaskId): Promise<Task> {
    const task = await find(id);
    if (task === null) throw new Error(`expected task ${id} to be there`);
    return task;
  }

  /** One ask. */
  async function take(types: readonly string[], terms: Partial<Terms> = {}): Promise<RunningTask[]> {
    const { at, max, leaseMs, worker, nonce } = termsOf(terms);
    return only(await store.claim([{ worker, types, max, leaseMs }], { now: at, nonce }));
  }

  /** Claims this task, which must be the first of its type. */
  async function start(task: Task, terms: Partial<Terms> = {}): Promise<RunningTask> {
    const running = only(await take([task.type], { ...terms, max: 1 }));
    if (running.id !== task.id) throw new Error(`expected to claim task ${task.id}, got ${running.id}`);
    return running;
  }

  const termsOf = (terms: Partial<Terms>): Terms => ({
    at: t,
    max: 1_000,
    leaseMs: LEASE_MS,
    worker: "w1",
    nonce: "n1",
    ...terms,
  });

  const run = async (spec: Spec = {}, terms: Partial<Terms> = {}): Promise<RunningTask> =>
    start(await add(spec, Math.min(t, terms.at ?? t)), terms);

  async function write(from: Task, to: Task): Promise<ReplaceAnswer> {
    return only(await store.replace([{ from, to }]));
  }

  /** Writes a step without a competing one. */
  async function step(from: Task, to: Task): Promise<Task> {
    expect(await write(from, to)).toBe("ok");
    return to;
  }

  const settled = (task: RunningTask, outcome: Outcome, at = t + 1_000): Promise<Task> =>
    step(task, settle(task, { token: task.token, outcome }, at, 0.5));

  /** A task that has ended this way. */
  async function ended(status: EndedStatus, spec: Spec = {}, at = t + 1_000): Promise<Task> {
    if (status !== "cancelled") return settled(await run(spec), status === "done" ? DONE : FAILED, at);
    const task = await add(spec);
    return step(task, cancel(task, at));
  }

  async function beat(task: RunningTask, at: number, content: Partial<Beat> = {}) {
    return only(await store.extend([beatOf(task, content)], at));
  }

  async function removed(id: TaskId, version?: number): Promise<boolean> {
    return only(await store.remove([version === undefined ? { id } : { id, version }]));
  }

  const end = async (): Promise<Position> => (await store.changes(null, 1)).position;

  /** The changes that `makeChanges` makes. A task that is created last marks their end. */
  async function changesOf(makeChanges: () => Promise<unknown>): Promise<Change[]> {
    const from = await end();
    await makeChanges();
    const marker = await add({ type: "marker", runAt: t + 1_000 * HOUR_MS });
    const changes = await readChanges(store, { from, until: (change) => change.id === marker.id });
    return changes.slice(0, -1);
  }

  return {
    ...opened,
    ...{ t, draft, add, addAll, find, see, take, start, run, write, step, settled, ended, beat, removed },
    ...{ end, changesOf },
  };
}

export const beatOf = (task: RunningTask, content: Partial<Beat> = {}): Beat => ({
  id: task.id,
  token: task.token,
  progress: null,
  log: [],
  ...content,
});

/** The result of `lifecycle.claim` with the usual terms of these tests. */
export const claimedAs = (task: Task, terms: Partial<Terms> & { readonly at: number }): RunningTask =>
  claim(task, { worker: "w1", leaseMs: LEASE_MS, nonce: "n1", ...terms }, terms.at);

/** The longest wait for something that a store promises without a time limit. */
const SOON_MS = 120_000;

/** Reads the change log page by page up to the change that is waited for. */
export async function readChanges(
  store: Pick<TaskStore, "changes">,
  read: { readonly from: Position; readonly until: (change: Change) => boolean; readonly limit?: number },
): Promise<Change[]> {
  const changes: Change[] = [];
  let position = read.from;
  await soon("the change", async () => {
    const page = await store.changes(position, read.limit ?? 100);
    if (page.kind === "gone") throw new Error("expected changes, the position is gone");
    position = page.position;
    changes.push(...page.changes);
    return page.changes.some(read.until);
  });
  return changes;
}

export type Walk = {
  readonly sort: Sort;
  readonly limit: number;
  readonly filter?: TaskFilter;
  readonly after?: Cursor;
};

/** All pages from the first to the last; `between` may change the store after each. */
export async function walk(
  store: Pick<TaskStore, "list">,
  { sort, limit, filter = {}, after: start }: Walk,
  between: () => Promise<unknown> = async () => undefined,
): Promise<Task[]> {
  const tasks: Task[] = [];
  let after: Cursor | null = start ?? null;
  do {
    const page: TaskPage = await store.list({ filter, sort, after, limit });
    expect(page.tasks.length).toBeLessThanOrEqual(limit);
    expect(page.next).not.toEqual(after ?? "a walk that makes no progress");
    tasks.push(...page.tasks);
    after = page.next;
    await between();
  } while (after !== null);
  return tasks;
}

/** Checks the condition in each turn of the event loop until it is true. */
export async function soon(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = performance.now() + SOON_MS;
  while (!(await isSo())) {
    if (performance.now() > giveUpAt) throw new Error(`expected ${what} within ${SOON_MS} ms`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** The tasks of all these ids, with as many reads as needed. */
export async function readTasks(
  store: Pick<TaskStore, "get">,
  ids: readonly TaskId[],
): Promise<(Task | null)[]> {
  const tasks: (Task | null)[] = [];
  while (tasks.length < ids.length) tasks.push(...(await store.get(ids.slice(tasks.length))));
  return tasks;
}

/** The only member of a list that must have exactly one. */
export function only<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined || items.length !== 1) throw new Error(`expected one item, got ${items.length}`);
  return item;
}

/** The member at an index where there must be one. */
export function nth<T>(items: readonly T[], index: number): T {
  const item = items[index];
  if (item === undefined) throw new Error(`expected an item at ${index} of ${items.length}`);
  return item;
}

export function asRunning(task: Task): RunningTask {
  if (task.status !== "running") throw new Error(`expected task ${task.id} to run, it is ${task.status}`);
  return task;
}

export const idsOf = (tasks: readonly { readonly id: TaskId }[]): TaskId[] => tasks.map(({ id }) => id);

export const ascending = (ids: readonly number[]): number[] => ids.toSorted((a, b) => a - b);
