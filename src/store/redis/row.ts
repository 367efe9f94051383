/**
 * A task as Redis keeps it: the head is what scripts read and write, the body is what only this program reads; progress,
 * payload and result lie apart, so that a claim or a beat of a task with a megabyte moves a hundred bytes.
 */
import type { Status, Task, TaskId } from "../../core/task.ts";

/** JSON values, parted by comma and line feed: JSON escapes line feeds, so a script may part them there. */
export function headOf(task: Task): string {
  const lease = task.lease;
  const ends = lease === null ? "null,\nnull,\nnull,\nnull" : leaseOf(lease);
  return `${bytesOf(task)},\n"${task.status}",\n${task.version},\n${task.claims},\n${task.attempt},\n${task.updatedAt},\n${task.startedAt},\n${text(task.token)},\n${ends},\n${task.priority},\n${text(task.type)},\n${text(task.key)}`;
}

const leaseOf = ({ until, leaseMs, revokeAt, worker }: NonNullable<Task["lease"]>): string =>
  `${until},\n${leaseMs},\n${revokeAt},\n${text(worker)}`;

const text = (value: string | null): string => JSON.stringify(value);

/** About how much of an answer the task takes; scripts count it, so that none of them answers with a gigabyte. */
const bytesOf = (task: Task): number =>
  300 +
  task.description.length +
  500 * task.attempts.length +
  (task.payload?.length ?? 0) +
  (task.result?.length ?? 0);

export const bodyOf = (task: Task): string =>
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
export const laneOf = (task: Pick<Task, "type" | "priority">): string =>
  `${JSON.stringify(task.type)}:${task.priority}`;

/** What the lanes of a pattern begin with: an exact type with its closing quote, a prefix without. */
export const lanePrefixOf = (pattern: string): string =>
  pattern.endsWith("*") ? JSON.stringify(pattern.slice(0, -1)).slice(0, -1) : `${JSON.stringify(pattern)}:`;

/** What the scripts answer of a task. */
export type Row = {
  readonly head: string;
  readonly body: string;
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

export function taskOf(id: TaskId, row: Row): Task {
  // headOf, bodyOf and the scripts alone write these.
  const [head, body, progress] = JSON.parse(`[[${row.head}],${row.body},${row.progress}]`) as [
    Head,
    Body,
    Task["progress"],
  ];
  const [, status, version, claims, attempt, updatedAt, startedAt, token] = head;
  const [, , , , , , , , until, leaseMs, revokeAt, worker, priority, type, key] = head;
  const [name, description, tags, runAt, timeoutMs, maxAttempts, baseMs, maxMs, createdAt] = body;
  const [, , , , , , , , , failures, losses, workedMs, attempts, finishedAt, error] = body;
  const task = {
    ...{ id, version, name, description, type, payload: row.payload, priority, tags, key, runAt, timeoutMs },
    ...{ maxAttempts, backoff: { baseMs, maxMs }, createdAt, updatedAt, claims, token, attempt, failures },
    ...{ losses, workedMs, attempts, startedAt, progress, result: row.result, error, status },
    lease: worker === null ? null : { worker, until, leaseMs, revokeAt },
    finishedAt,
  };
  return task as Task; // status, lease and finishedAt were of one Task when they were written
}
