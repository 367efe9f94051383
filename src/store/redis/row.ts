/**
 * A task as Redis keeps it: scripts read and write the head; only this program reads the body; progress, payload and result
 * have hashes of their own, so that a claim or a heartbeat of a task with a megabyte transfers a hundred bytes.
 *
 * The order of the fields in HEAD and in BODY is the order in which existing stores have them. A new field goes to the end of BODY;
 * its `read` gets undefined from a body that was written before, and gives the field's value for such a task.
 */
import { type AnyParts, FIELDS_IN, narrowed } from "../../core/parts.ts";
import type { LightTask, Parts, Task, TaskHead, TaskId } from "../../core/task.ts";
import { textSize } from "../../core/text-size.ts";
import type { Stepped } from "../store.ts";

/** How a field is written as JSON values, each with a name, and how it is read from them. */
type Stored<V> = {
  /** A plain field has one value, itself. */
  readonly columns: readonly string[] | "plain";
  readonly write: (value: V) => readonly unknown[];
  readonly read: (values: readonly unknown[]) => V;
};

const plain = <V>(): Stored<V> => ({
  columns: "plain",
  write: (value) => [value],
  read: ([value]) => value as V, // as it was written
});

const lease: Stored<Task["lease"]> = {
  columns: ["leaseUntil", "leaseMs", "revokeAt", "worker"],
  write: (value) => (value === null ? NO_LEASE : [value.until, value.leaseMs, value.revokeAt, value.worker]),
  read: ([until, leaseMs, revokeAt, worker]) =>
    worker === null ? null : ({ worker, until, leaseMs, revokeAt } as Task["lease"]), // as it was written
};
const NO_LEASE = [null, null, null, null];

const backoff: Stored<Task["backoff"]> = {
  columns: ["backoffBaseMs", "backoffMaxMs"],
  write: ({ baseMs, maxMs }) => [baseMs, maxMs],
  read: ([baseMs, maxMs]) => ({ baseMs, maxMs }) as Task["backoff"], // as it was written
};

/** Tasks that were written before labels existed have no such value. */
const labels: Stored<Task["labels"]> = {
  columns: ["labels"],
  write: (value) => [value],
  read: ([value]) => (value ?? {}) as Task["labels"], // as it was written
};

type StoredFields = { readonly [F in keyof Task]?: Stored<Task[F]> };

/** The fields in the head, after its size. */
const HEAD = {
  status: plain(),
  version: plain(),
  claims: plain(),
  attempt: plain(),
  updatedAt: plain(),
  startedAt: plain(),
  token: plain(),
  lease,
  priority: plain(),
  type: plain(),
  key: plain(),
} satisfies StoredFields & { readonly [F in Exclude<keyof TaskHead, "id">]: Stored<Task[F]> };

const BODY = {
  name: plain(),
  description: plain(),
  tags: plain(),
  runAt: plain(),
  timeoutMs: plain(),
  maxAttempts: plain(),
  backoff,
  createdAt: plain(),
  failures: plain(),
  losses: plain(),
  workedMs: plain(),
  attempts: plain(),
  finishedAt: plain(),
  error: plain(),
  labels,
} satisfies StoredFields;

/** Fields with a hash of their own, from id to JSON. The compiler refuses a field that is in none of the three tables. */
export const APART: {
  readonly [F in Exclude<keyof Task, keyof typeof HEAD | keyof typeof BODY | "id">]: string;
} = { progress: "progress", payload: "payloads", result: "results" };

type Entry = {
  readonly name: keyof Task;
  readonly at: number;
  readonly width: number;
  readonly field: Stored<unknown>;
};

/** Writes and reads the fields of a table in its order. */
function codecOf(table: StoredFields) {
  const fields = Object.entries(table) as [keyof Task, Stored<unknown>][]; // its own entries
  let at = 0;
  const entries = fields.map(([name, field]): Entry => {
    const width = field.columns === "plain" ? 1 : field.columns.length;
    at += width;
    return { name, at: at - width, width, field };
  });

  function write(task: Stepped): unknown[] {
    const values: unknown[] = [];
    for (const { name, field } of entries) {
      const value = task[name];
      if (field.columns === "plain") values.push(value);
      else values.push(...field.write(value));
    }
    return values;
  }

  /** @param skipped values before the first one of the table */
  function readInto(task: Members, values: readonly unknown[], skipped: number): void {
    for (const { name, at, width, field } of entries) {
      const start = skipped + at;
      task[name] = field.read(width === 1 ? [values[start]] : values.slice(start, start + width));
    }
  }

  const columns = fields.flatMap(([name, { columns }]) => (columns === "plain" ? [name] : columns));
  return { write, readInto, columns };
}

const head = codecOf(HEAD);
const body = codecOf(BODY);

/** The names of a head's values, in their order; lua/prelude.lua finds them by these names. */
export const HEAD_COLUMNS: readonly string[] = ["bytes", ...head.columns];

/** JSON values, separated by comma and line feed: JSON escapes line feeds, so a script can split a head there. */
export function headOf(task: Stepped): string {
  let text = sizeOf(task);
  for (const value of head.write(task)) text += `,\n${jsonOf(value)}`;
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

export const bodyOf = (task: LightTask): string => JSON.stringify(body.write(task));

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
  if (parts === "whole") return taskOf(id, row);
  return parts === "light" ? lightOf(id, row, EMPTY.light) : taskHeadOf(id, row);
}

const emptyOf = (parts: Parts): Members => Object.fromEntries(FIELDS_IN[parts].map((name) => [name, null]));

/** Reading begins with a copy of these, which the runtime makes in one step: adding the members one by one takes twice as long. */
const EMPTY = { light: emptyOf("light"), whole: emptyOf("whole") };

export function taskOf(id: TaskId, row: Row): Task {
  const task: Members = lightOf(id, row, EMPTY.whole);
  task.payload = row.payload;
  task.result = row.result;
  return task as Task; // the texts of the same task
}

/** The values were those of one task when they were written. */
function lightOf(id: TaskId, row: Row, empty: Members): LightTask {
  const [headValues, bodyValues, progress] = JSON.parse(`[[${row.head}],${row.body},${row.progress}]`) as [
    unknown[],
    unknown[],
    Task["progress"],
  ];
  const task: Members = { ...empty, id, progress };
  head.readInto(task, headValues, SIZE);
  body.readInto(task, bodyValues, 0);
  return task as LightTask;
}

function taskHeadOf(id: TaskId, row: Row): AnyParts {
  const task: Members = { id };
  head.readInto(task, JSON.parse(`[${row.head}]`) as unknown[], SIZE);
  return narrowed(task as Task, "head"); // the stored head has more fields than a read of the head
}

/** A task that is being read. */
type Members = Record<string, unknown>;

/** The first value of a head, before its fields. */
const SIZE = 1;
