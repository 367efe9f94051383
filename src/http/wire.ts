/** The JSON that goes over the wire, both ways: what is taken in is parsed once, here; what goes out is made here. */
import { z } from "zod";
import { formatDurationMs, parseDurationMs } from "../core/duration.ts";
import { TaskError } from "../core/error.ts";
import { isCancelRequested } from "../core/lease.ts";
import {
  type Attempt,
  durationMs,
  type JsonText,
  type LightTask,
  type LogLine,
  MAX_TASK_ID,
  type Task,
  type TaskId,
  TYPE_PATTERN,
} from "../core/task.ts";
import type { Position } from "../engine/engine.ts";
import { membersOf } from "../wire/list-schema.ts";
import { DURATION_PATTERN, TaskStatus } from "../wire/shared-schemas.ts";
import { targetOf } from "./request-path.ts";
import { ASKED_WAIT_MS, LONGEST_WAIT_MS } from "./waits.ts";

// ---- what comes in

const whole = (least: number, most: number) =>
  z
    .string("must be given once")
    .regex(/^[1-9]\d{0,15}$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must be a whole number from ${least} to ${most}`)
    .meta({ type: "integer", minimum: least, maximum: most });

/** What else stands in the query of one task is no business of ours; clients of the first version may send anything. */
export const TaskQuery = z.object({
  wait: z
    .string("must be given once")
    .transform((text, context) => {
      const ms = parseDurationMs(text);
      if (ms !== null && ms >= 0 && ms <= ASKED_WAIT_MS) return Math.min(ms, LONGEST_WAIT_MS);
      context.addIssue({ code: "custom", message: 'must be a duration from "0s" to "60s"' });
      return z.NEVER;
    })
    .optional()
    .meta({
      description:
        "Answer when the task has ended, or after this time as it stands: a Go duration up to 60s, of which 45s are waited at most",
      pattern: DURATION_PATTERN,
      examples: ["30s"],
    }),
});

/** Each change is looked up among them, in one step; it is the length of a URL that bounds their number. */
const TASKS_FOLLOWED = 10_000;

export const EventsQuery = z.strictObject({
  task: membersOf(whole(1, MAX_TASK_ID), "tasks", TASKS_FOLLOWED)
    .optional()
    .meta({ description: "Of these tasks alone" }),
  type: membersOf(z.string().regex(TYPE_PATTERN, "must be a type, or a prefix ending in *"), "types")
    .optional()
    .meta({ description: "Of these types alone; a prefix may end in `*`", examples: [["video.*"]] }),
  status: membersOf(TaskStatus, "statuses")
    .optional()
    .meta({ description: "Tasks alone whose present status is one of these" }),
});
export type EventsQuery = z.output<typeof EventsQuery>;

/**
 * The query of a URL as an object: a parameter that may be repeated is a list, one that may not but is stays a list too, and
 * is refused by its schema.
 */
export function queryOf(request: Request, repeatable: readonly string[]): Record<string, string | string[]> {
  const searchParams = new URLSearchParams(targetOf(request.url).query);
  const query: Record<string, string | string[]> = Object.create(null);
  for (const name of new Set(searchParams.keys())) {
    const values = searchParams.getAll(name);
    query[name] = values.length === 1 && !repeatable.includes(name) ? String(values[0]) : values;
  }
  return query;
}

const ID = /^[1-9]\d{0,15}$/;

/** The id in a path; throws `invalid` for anything but a positive integer that JSON carries exactly. */
export function parseId(text: string): TaskId {
  const id = ID.test(text) ? Number(text) : Number.NaN;
  if (id <= MAX_TASK_ID) return id;
  const detail = `must be a whole number from 1 to ${MAX_TASK_ID}`;
  throw new TaskError("invalid", `A task id ${detail}`, [{ pointer: "/id", detail }]);
}

/** The id of an event: where its reader stands in the change log. Opaque to clients. */
export const formatPosition = ({ epoch, rev }: Position): string =>
  Buffer.from(`${rev}:${epoch}`).toString("base64url");

/**
 * The position in an event's id. What is none is a place in no log, so that its reader begins anew. All numbers that a store
 * can give are taken: those of PostgreSQL grow by 16,384 with each commit and have 16 digits after two years of a thousand
 * commits a second.
 */
export function parsePosition(eventId: string): Position {
  const text = Buffer.from(eventId, "base64url").toString();
  const [, rev = "", epoch = ""] = /^(\d{1,16}):([ -~]+)$/.exec(text) ?? [];
  return rev !== "" && Number.isSafeInteger(Number(rev))
    ? { epoch, rev: Number(rev) }
    : { epoch: "none", rev: 0 };
}

// ---- what goes out

export const presentCreated = (id: TaskId, existing: boolean): string =>
  `{"message":"${existing ? "Task already exists" : "Task created successfully"}","task_id":${id}}`;
export const presentManyCreated = (ids: readonly TaskId[]): string =>
  `{"message":"Tasks created successfully","task_ids":[${ids.join()}]}`;
export const presentLog = (lines: readonly LogLine[]): string =>
  JSON.stringify(lines.map(({ n, at, level, message }) => ({ n, at: timestamp(at), level, message })));
export const presentUpdated = (id: TaskId): string =>
  `{"message":"Task updated successfully","task_id":${id}}`;

export const presentSummary = (task: LightTask): string =>
  `{"id":${task.id},"name":${quote(task.name)},"description":${quote(task.description)},"status":"${task.status}"}`;

/** The whole task. Payload and result are JSON already and go out as they came in. */
export function presentTask(task: Task, now: number): string {
  const text = JSON.stringify(answerOf(task, now));
  return withRaw(withRaw(text, "result", task.result), "payload", task.payload);
}

/** The task without what may be long, payload and result. */
export const presentEvent = (task: LightTask, now: number): string =>
  JSON.stringify({ ...answerOf(task, now), payload: undefined, result: undefined });

function answerOf(task: LightTask, now: number) {
  const createdAt = timestamp(task.createdAt);
  return {
    id: task.id,
    name: task.name,
    description: task.description,
    status: task.status,
    created_at: createdAt,
    duration: formatDurationMs(durationMs(task, now)),
    type: task.type,
    payload: null,
    priority: task.priority,
    tags: task.tags,
    key: task.key,
    run_at: task.runAt === task.createdAt ? createdAt : timestamp(task.runAt),
    timeout: task.timeoutMs === null ? null : formatDurationMs(task.timeoutMs),
    attempt: task.attempt,
    max_attempts: task.maxAttempts,
    progress: task.progress,
    result: null,
    error: task.error,
    attempts: task.attempts.length === 0 ? task.attempts : task.attempts.map(attemptAnswer),
    cancel_requested: isCancelRequested(task),
    started_at: task.startedAt === null ? null : timestamp(task.startedAt),
    finished_at: task.finishedAt === null ? null : timestamp(task.finishedAt),
    updated_at: task.updatedAt === task.createdAt ? createdAt : timestamp(task.updatedAt),
    version: task.version,
  };
}

/**
 * Puts JSON in the place of a member's null. The first `"name":null` is that member: a quote within a string is escaped, so
 * no text of a client can look like one.
 */
const withRaw = (text: string, name: string, json: JsonText | null): string =>
  json === null ? text : text.replace(`"${name}":null`, () => `"${name}":${json}`);

const attemptAnswer = (attempt: Attempt) => ({
  attempt: attempt.attempt,
  worker: attempt.worker,
  started_at: timestamp(attempt.startedAt),
  finished_at: timestamp(attempt.finishedAt),
  outcome: attempt.outcome,
  error: attempt.error,
});

const quote = (value: unknown): string => JSON.stringify(value);

const timestamp = (ms: number): string => new Date(ms).toISOString();
