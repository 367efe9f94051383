/** The engine for clients that create tasks, read them and change them. Each call rejects with TaskError if it is refused. */
import { TaskError } from "../core/error.ts";
import {
  cancel,
  create,
  DEFAULT_TYPE,
  edit,
  retry,
  type TaskPatch,
  type TaskSpec,
  TYPE_DEFAULTS,
  type TypeDefaults,
} from "../core/lifecycle.ts";
import type { Draft, LogLine, Parts, Task, TaskId, TaskParts } from "../core/task.ts";
import type {
  Idempotency,
  InsertAnswer,
  Inserted,
  TaskFilter,
  TaskPage,
  TaskQuery,
  TaskRef,
  TaskStore,
} from "../store/store.ts";
import { createStoreBatch } from "./batches.ts";
import { recallDocument } from "./documents.ts";
import type { MinuteStatistics } from "./minute-statistics.ts";
import type { Notify } from "./notify.ts";
import { type CallKey, createOnce, type Once, type OnceAnswer } from "./once.ts";
import { notFound, type Rule, type Steppable, type Steps, type StepTerms, under } from "./steps.ts";

export type { Cursor, Sort, TaskFilter, TaskPage } from "../store/store.ts";
export type { CallKey, CarriedOut, Once } from "./once.ts";
export type { Condition } from "./steps.ts";

export interface Producers {
  /** Creates tasks, all or none. With an idempotency key the same call gets its first answer again. */
  create(specs: readonly TaskSpec[], idempotency?: IdempotencyKey | null): Promise<Creation>;
  get(id: TaskId): Promise<Task>;
  list<P extends Parts = "whole">(query: TaskQuery<P>): Promise<TaskPage<TaskParts[P]>>;
  count(filter: TaskFilter): Promise<number>;
  edit(id: TaskId, patch: TaskPatch, terms?: StepTerms): Promise<Task>;
  /** Ends a pending task, or asks a running one to stop. Reads and returns the whole task unless a light one is requested. */
  cancel<P extends Steppable = "whole">(id: TaskId, terms?: PartsTerms<P>): Promise<TaskParts[P]>;
  /** Makes an ended task pending again. Reads and returns the same parts as `cancel`. */
  retry<P extends Steppable = "whole">(id: TaskId, terms?: PartsTerms<P>): Promise<TaskParts[P]>;
  /** Deletes a task in any status; running work is aborted and its result is dropped. */
  remove(id: TaskId, terms?: StepTerms): Promise<void>;
  /** Carries out one of these four steps, or returns the result of the same earlier call: see `once.ts`. */
  once<T>(call: CallKey, step: (once: Once) => Promise<T>): Promise<OnceAnswer<T>>;
  /** The task's log lines after the nth, oldest first; rejects if there is no such task. */
  readLog(id: TaskId, after: number): Promise<readonly LogLine[]>;
}

type PartsTerms<P> = StepTerms & { readonly parts?: P };
export type IdempotencyKey = Omit<Idempotency, "until">;
export type Creation = { readonly tasks: readonly Inserted[]; readonly repeated: boolean };

type Creating = { readonly specs: readonly TaskSpec[]; readonly idempotency: IdempotencyKey | null };

const IDEMPOTENCY_KEPT_MS = 24 * 3_600_000;

export function createProducers(setup: {
  readonly store: Pick<
    TaskStore,
    "insert" | "get" | "list" | "count" | "remove" | "readLog" | "readDocuments"
  >;
  readonly steps: Steps;
  /** The store's time. */
  readonly now: () => number;
  /** Defaults of the types that have their own. */
  readonly types: ReadonlyMap<string, TypeDefaults>;
  readonly minutes: Pick<MinuteStatistics, "created">;
  readonly notify: Notify;
}): Producers {
  const { store, steps, now } = setup;
  const inserts = createStoreBatch({ send: insertAll, sizeOf: creatingBytes });
  const removals = createStoreBatch<TaskRef, boolean>({
    send: (refs) => store.remove(refs),
    keyOf: ({ id }) => id,
  });

  async function insertAll(calls: readonly Creating[]): Promise<InsertAnswer[]> {
    const at = now();
    const due: string[] = [];
    const requests = calls.map(({ specs, idempotency }) => ({
      drafts: specs.map((spec) => draft(spec, at, due)),
      idempotency: idempotency === null ? null : { ...idempotency, until: at + IDEMPOTENCY_KEPT_MS },
    }));
    const answers = await store.insert(requests, at);
    setup.notify(due);
    setup.minutes.created(answers.reduce((count, answer) => count + createdBy(answer), 0));
    return answers;
  }

  function draft(spec: TaskSpec, at: number, due: string[]): Draft {
    const defaults = setup.types.get(spec.type ?? DEFAULT_TYPE) ?? TYPE_DEFAULTS;
    const made = create(spec, defaults, at);
    if (made.runAt <= at) due.push(made.type);
    return made;
  }

  /** Applies a rule that takes a light or a whole task and returns the same parts. */
  function byRule<P extends Steppable = "whole">(
    id: TaskId,
    { condition, once, parts }: PartsTerms<P>,
    rules: { readonly [K in Steppable]: Rule<K> },
  ): Promise<TaskParts[P]> {
    const stepping = { id, parts: (parts ?? "whole") as P, once }; // without `parts` P is "whole"
    return steps.step(stepping, under(condition, rules[stepping.parts]));
  }

  async function remove(id: TaskId, { condition, once }: StepTerms = {}): Promise<void> {
    const removeThis = (version: Pick<TaskRef, "version">): Promise<boolean> =>
      removals({ id, ...version, ...(once === undefined ? {} : { once: once.document(null, now()) }) });
    if (condition !== undefined) {
      return steps.removeIf(id, { condition, once }, (version) => removeThis({ version }));
    }
    if (!(await removeThis({}))) throw notFound();
  }

  return {
    create: (specs, idempotency = null) => inserts({ specs, idempotency }).then(creation),
    get: (id) => store.get([id]).then(found),
    list: (query) => store.list(query),
    count: (filter) => store.count(filter),
    edit: (id, patch, { condition, once } = {}) =>
      steps.step(
        { id, parts: "whole", once },
        under(condition, (task: Task, at) => edit(task, patch, at)),
      ),
    cancel: (id, terms) => byRule(id, terms ?? {}, { whole: cancel, light: cancel }),
    retry: (id, terms) => byRule(id, terms ?? {}, { whole: retry, light: retry }),
    remove,
    once: createOnce({ recall: (name) => recallDocument(store, name, now()) }),
    readLog: async (id, after) => {
      const lines = await store.readLog(id, after);
      if (lines.length === 0) await steps.read(id, "head"); // reading the head rejects if the task does not exist
      return lines;
    },
  };
}

function creation(answer: InsertAnswer): Creation {
  if (answer.kind === "mismatch") {
    throw new TaskError("idempotency_mismatch", "This idempotency key was already used with another request");
  }
  return { tasks: answer.tasks, repeated: answer.kind === "repeated" };
}

function found([task]: readonly (Task | null)[]): Task {
  if (task === undefined || task === null) throw notFound();
  return task;
}

const createdBy = (answer: InsertAnswer): number =>
  answer.kind === "created" ? answer.tasks.filter(({ existing }) => !existing).length : 0;

/** About the size of the texts of a create; the rest of a task is small beside them. */
function creatingBytes({ specs }: Creating): number {
  let bytes = 0;
  for (const spec of specs) {
    bytes += 200 + spec.name.length + (spec.description?.length ?? 0) + (spec.payload?.length ?? 0);
    for (const name in spec.labels) bytes += name.length + (spec.labels[name]?.length ?? 0);
  }
  return bytes;
}
