/**
 * A task as Redis keeps it: the head is what scripts read and write, the body is what only this program reads; progress,
 * payload and result lie apart, so that a claim or a beat of a task with a megabyte moves a hundred bytes.
 */
import type { LightTask, Parts, Status, Task, TaskHead, TaskId } from "../../core/task.ts";
import { textSize } from "../../core/text-size.ts";
import type { Stepped } from "../store.ts";

/** JSON values, parted by comma and line feed: JSON escapes line feeds, so a script may part them there. */
export function headOf(task: Stepped): string {
  const lease = task.lease;
  const ends = lease === null ? "null,\nnull,\nnull,\nnull" : leaseOf(lease);
  return `${sizeOf(task)},\n"${task.status}",\n${task.version},\n${task.claims},\n${task.attempt},\n${task.updatedAt},\n${task.startedAt},\n${text(task.token)},\n${ends},\n${task.priority},\n${text(task.type)},\n${text(task.key)}`;
}

const leaseOf = ({ until, leaseMs, revokeAt, worker }: NonNullable<Task["lease"]>): string =>
  `${until},\n${leaseMs},\n${revokeAt},\n${text(worker)}`;

const text = (value: string | null): string => JSON.stringify(value);

/**
 * About how much of an answer the task takes; scripts count it, so that none of them answers with a gigabyte. Of a light task only
 * the script that writes it knows the length of payload and result: it adds them to what stands behind the plus.
 */
const sizeOf = (task: Stepped): string =>
  task.payload === undefined || task.result === undefined
    ? `+${textSize(task, "light")}`
    : String(textSize(task));

export const bodyOf = (task: LightTask): string =>
  JSON.stringify([
    task.name,
    task.description,
    task.tags,
    task.runAt,
    task.timeoutMs,
    task.maxAttempts,
    task.backoff.baseMs,
    task.backoff.maxMs,
    task.createdAt,
    task.failures,
    task.losses,
    task.workedMs,
    task.attempts,
    task.finishedAt,
    task.error,
  ]);

/** The lane of a pending task: scripts look lanes up by the beginning of this text. */
export const laneOf = (task: Pick<LightTask, "type" | "priority">): string =>
  `${JSON.stringify(task.type)}:${task.priority}`;

/** What the lanes of a pattern begin with: an exact type with its closing quote, a prefix without. */
export const lanePrefixOf = (pattern: string): string =>
  pattern.endsWith("*") ? JSON.stringify(pattern.slice(0, -1)).slice(0, -1) : `${JSON.stringify(pattern)}:`;

/** What the scripts answer of a task; of a head there is the head alone, of a light task no payload and no result. */
export type Row = {
  readonly head: string;
  readonly body: string | null;
  readonly progress: string | null;
  readonly payload: string | null;
  readonly result: string | null;
};

type Head = [
  bytes: number,
  status: Status,
  version: number,
  claims: number,
  attempt: number,
  updatedAt: number,
  startedAt: number | null,
  token: string | null,
  until: number,
  leaseMs: number,
  revokeAt: number | null,
  worker: string | null,
  priority: number,
  type: string,
  key: string | null,
];

type Body = [
  name: string,
  description: string,
  tags: string[],
  runAt: number,
  timeoutMs: number | null,
  maxAttempts: number,
  baseMs: number,
  maxMs: number,
  createdAt: number,
  failures: number,
  losses: number,
  workedMs: number,
  attempts: Task["attempts"],
  finishedAt: number | null,
  error: Task["error"],
];

/** These parts of the task; the row was read for them. */
export function partsOf(id: TaskId, row: Row, parts: Parts): Task | LightTask | TaskHead {
  if (parts === "head") return taskHeadOf(id, JSON.parse(`[${row.head}]`) as Head); // headOf wrote it
  return parts === "light" ? lightOf(id, row) : taskOf(id, row);
}

export const taskOf = (id: TaskId, row: Row): Task =>
  ({ ...lightOf(id, row), payload: row.payload, result: row.result }) as Task; // the texts of the same task

function lightOf(id: TaskId, row: Row): LightTask {
  // headOf, bodyOf and the scripts alone write these.
  const [head, body, progress] = JSON.parse(`[[${row.head}],${row.body},${row.progress}]`) as [
    Head,
    Body,
    Task["progress"],
  ];
  const [, , , , , updatedAt, startedAt] = head;
  const [name, description, tags, runAt, timeoutMs, maxAttempts, baseMs, maxMs, createdAt] = body;
  const [, , , , , , , , , failures, losses, workedMs, attempts, finishedAt, error] = body;
  const task = {
    ...taskHeadOf(id, head),
    ...{
      name,
      description,
      tags,
      runAt,
      timeoutMs,
      maxAttempts,
      backoff: { baseMs, maxMs },
      createdAt,
      updatedAt,
    },
    ...{ failures, losses, workedMs, attempts, startedAt, progress, error, finishedAt },
  };
  return task as LightTask; // status, lease and finishedAt were of one task when they were written
}

function taskHeadOf(id: TaskId, head: Head): TaskHead {
  const [, status, version, claims, attempt, , , token] = head;
  const [, , , , , , , , until, leaseMs, revokeAt, worker, priority, type, key] = head;
  const lease = worker === null ? null : { worker, until, leaseMs, revokeAt };
  return { id, version, status, type, priority, key, token, attempt, claims, lease };
}
