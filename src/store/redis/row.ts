/**
 * A task as Redis keeps it: scripts read and write the head; only this program reads the body; progress, payload and result
 * have hashes of their own, so that a claim or a heartbeat of a task with a megabyte transfers a hundred bytes.
 *
 * The order of the fields in HEAD and in BODY is the order in which existing stores have them. A new field goes to the end of BODY;
 * its `read` gets undefined from a body that was written before, and gives the field's value for such a task.
 */
import { type AnyParts, FIELDS_IN } from "../../core/parts.ts";
import type { LightTask, Parts, RunningTask, Task, TaskHead, TaskId } from "../../core/task.ts";
import { textSize } from "../../core/text-size.ts";
import type { Stepped } from "../store.ts";

/** How a field is written as JSON values, each with a name, and how it is read from them. A plain field has one value, itself. */
type Stored<V> =
  | "plain"
  | {
      readonly columns: readonly string[];
      readonly write: (value: V) => readonly unknown[];
      readonly read: (...values: readonly unknown[]) => V;
    };

const lease: Stored<Task["lease"]> = {
  columns: ["leaseUntil", "leaseMs", "revokeAt", "worker"],
  write: (value) => (value === null ? NO_LEASE : [value.until, value.leaseMs, value.revokeAt, value.worker]),
  read: (until, leaseMs, revokeAt, worker) =>
    worker === null ? null : ({ worker, until, leaseMs, revokeAt } as Task["lease"]), // as it was written
};
const NO_LEASE = [null, null, null, null];

const backoff: Stored<Task["backoff"]> = {
  columns: ["backoffBaseMs", "backoffMaxMs"],
  write: ({ baseMs, maxMs }) => [baseMs, maxMs],
  read: (baseMs, maxMs) => ({ baseMs, maxMs }) as Task["backoff"], // as it was written
};

/** Tasks that were written before labels existed have no such value. */
const labels: Stored<Task["labels"]> = {
  columns: ["labels"],
  write: (value) => [value],
  read: (value) => (value ?? {}) as Task["labels"], // as it was written
};

type StoredFields = { readonly [F in keyof Task]?: Stored<Task[F]> };

/** The fields in the head, after its size. */
const HEAD = {
  status: "plain",
  version: "plain",
  claims: "plain",
  attempt: "plain",
  updatedAt: "plain",
  startedAt: "plain",
  token: "plain",
  lease,
  priority: "plain",
  type: "plain",
  key: "plain",
} satisfies StoredFields & { readonly [F in Exclude<keyof TaskHead, "id">]: Stored<Task[F]> };

const BODY = {
  name: "plain",
  description: "plain",
  tags: "plain",
  runAt: "plain",
  timeoutMs: "plain",
  maxAttempts: "plain",
  backoff,
  createdAt: "plain",
  failures: "plain",
  losses: "plain",
  workedMs: "plain",
  attempts: "plain",
  finishedAt: "plain",
  error: "plain",
  labels,
} satisfies StoredFields;

/** Fields with a hash of their own, from id to JSON. The compiler refuses a field that is in none of the three tables. */
export const APART: {
  readonly [F in Exclude<keyof Task, keyof typeof HEAD | keyof typeof BODY | "id">]: string;
} = { progress: "progress", payload: "payloads", result: "results" };

/** The columns of a table in their order. */
const columnsOf = (table: StoredFields): string[] =>
  entriesOf(table).flatMap(([name, field]) => (field === "plain" ? [name] : field.columns));

const entriesOf = (table: StoredFields): [keyof Task, Stored<unknown>][] =>
  Object.entries(table) as [keyof Task, Stored<unknown>][]; // its own entries

// ---- Functions that are compiled once from the tables, so that a read is an object literal and a write a list of members, without loops over
// the tables. All names in their texts are those of the tables.

const compile = <F>(parameters: string, body: string): F =>
  new Function("fields", `return (${parameters}) => ${body};`)({ ...HEAD, ...BODY }) as F;

/** Writes a table's values. */
const writerOf = (table: StoredFields): ((task: Stepped) => unknown[]) =>
  compile(
    "task",
    `[${entriesOf(table)
      .map(([name, field]) => (field === "plain" ? `task.${name}` : `...fields.${name}.write(task.${name})`))
      .join(", ")}]`,
  );

/** For each field of a table an expression that reads it. @param sourceOf the expression of a column */
function readsOf(table: StoredFields, sourceOf: (column: string, at: number) => string): Reads {
  const reads: Record<string, string> = {};
  let at = 0;
  for (const [name, field] of entriesOf(table)) {
    const values = (field === "plain" ? [name] : field.columns).map((column) => sourceOf(column, at++));
    reads[name] = field === "plain" ? values.join() : `fields.${name}.read(${values.join()})`;
  }
  return reads;
}

type Reads = Readonly<Record<string, string>>;

const literalOf = (parts: Parts, reads: Reads): string =>
  `({ ${FIELDS_IN[parts].map((name) => `${name}: ${reads[name] ?? name}`).join(", ")} })`;

const headValues = writerOf(HEAD);
const bodyValues = writerOf(BODY);

/** The names of a head's values, in their order; lua/prelude.lua finds them by these names. */
export const HEAD_COLUMNS: readonly string[] = ["bytes", ...columnsOf(HEAD)];

/** JSON values, separated by comma and line feed: JSON escapes line feeds, so a script can split a head there. */
export function headOf(task: Stepped): string {
  let text = sizeOf(task);
  for (const value of headValues(task)) text += `,\n${jsonOf(value)}`;
  return text;
}

const jsonOf = (value: unknown): string =>
  typeof value === "string" ? JSON.stringify(value) : String(value); // a number or null

/**
 * The approximate size of the task in an answer; scripts add the sizes up, so that no answer has a gigabyte. The lengths of
 * payload and result of a light task are known only to the script that writes it: it adds them to the number after the plus.
 */
const sizeOf = (task: Stepped): string =>
  task.payload === undefined || task.result === undefined
    ? `+${textSize(task, "light")}`
    : String(textSize(task));

export const bodyOf = (task: LightTask): string => JSON.stringify(bodyValues(task));

/** The lane of a pending task: scripts look lanes up by the beginning of this text. */
export const laneOf = (task: Pick<LightTask, "type" | "priority">): string =>
  `${JSON.stringify(task.type)}:${task.priority}`;

/** The beginning of a pattern's lanes: an exact type with its closing quote, a prefix without. */
export const lanePrefixOf = (pattern: string): string =>
  pattern.endsWith("*") ? JSON.stringify(pattern.slice(0, -1)).slice(0, -1) : `${JSON.stringify(pattern)}:`;

/** A task as the scripts answer it. A read of the head has the head alone; a light read has no payload and no result. */
export type Row = {
  readonly head: string;
  readonly body: string | null;
  readonly progress: string | null;
  readonly payload: string | null;
  readonly result: string | null;
};

/** These parts of the task; the row was read for them. */
export function partsOf(id: TaskId, row: Row, parts: Parts): AnyParts {
  const [head, body, progress] = JSON.parse(`[[${row.head}],${row.body},${row.progress}]`) as Values;
  return READERS[parts](id, head, body, progress, row.payload, row.result);
}

type Values = [head: unknown[], body: unknown[], progress: unknown];

/** The values were those of one task when they were written. */
type Reader = (id: TaskId, ...values: [...Values, payload: string | null, result: string | null]) => AnyParts;

/** The first value of a head is its size. */
const READS = {
  ...readsOf(HEAD, (_, at) => `head[${at + 1}]`),
  ...readsOf(BODY, (_, at) => `body[${at}]`),
};

const readerOf = (parts: Parts): Reader =>
  compile("id, head, body, progress, payload, result", literalOf(parts, READS));

const READERS = { head: readerOf("head"), light: readerOf("light"), whole: readerOf("whole") };

/** What claim.lua answers of each task: the values that it has read or made. */
export type ClaimedValues = readonly [
  id: TaskId,
  version: number,
  claims: number,
  attempt: number,
  ...kept: unknown[],
];

/** What a claim sets for all tasks of an ask. */
export type ClaimSets = {
  readonly now: number;
  readonly nonce: string;
  readonly worker: string;
  readonly leaseMs: number;
};

/** The columns of a head that no claim changes, in the order in which claim.lua answers them, followed by the body. */
const KEPT_FROM = HEAD_COLUMNS.indexOf("priority");
const KEPT_AT = 4;
const BODY_AT = KEPT_AT + HEAD_COLUMNS.length - KEPT_FROM;

/** A task that was claimed, as `lifecycle.claim` makes it. */
export const claimedTaskOf: (
  values: ClaimedValues,
  sets: ClaimSets,
  payload: string | null,
  result: string | null,
) => RunningTask = compile(
  "values, sets, payload, result",
  literalOf("whole", {
    ...readsOf(HEAD, (_, at) => `values[${KEPT_AT + at + 1 - KEPT_FROM}]`),
    ...readsOf(BODY, (_, at) => `values[${BODY_AT}][${at}]`),
    ...{ id: "values[0]", status: '"running"', version: "values[1]", claims: "values[2]" },
    ...{ attempt: "values[3]", updatedAt: "sets.now", startedAt: "sets.now", progress: "null" },
    token: 'values[2] + "." + sets.nonce',
    lease: "{ worker: sets.worker, until: sets.now + sets.leaseMs, leaseMs: sets.leaseMs, revokeAt: null }",
  }),
);
