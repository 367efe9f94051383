/** Tasks in answers and events: the schema of each field, and the functions that present tasks. */
import { z } from "zod";
import { formatDurationMs } from "../core/duration.ts";
import { isCancelRequested } from "../core/lease.ts";
import { type Attempt, durationMs, type JsonText, LIMITS, type LightTask, type Task } from "../core/task.ts";
import {
  durationAnswer,
  FailureAnswer,
  ProgressAnswer,
  TaskStatus,
  taskId,
  timeAnswer,
} from "./shared-schemas.ts";

const name = z.string().meta({ description: "The task's name", examples: ["someName"] });
const description = z.string().meta({ description: "What the task is about; empty if not given" });

export const SummaryAnswer = z.object({ id: taskId, name, description, status: TaskStatus });

const AttemptAnswer = z
  .object({
    attempt: z.int().min(1).meta({ description: "The number of the attempt: 1, 2, …" }),
    worker: z.string().meta({ description: "The name of its worker" }),
    started_at: timeAnswer,
    finished_at: timeAnswer,
    outcome: z.enum(["done", "failed", "released", "lost", "cancelled"]).meta({
      id: "AttemptOutcome",
      description: "How an attempt ended; `lost`: the lease expired without a heartbeat of the worker",
    }),
    error: FailureAnswer.nullable().meta({ description: "Why it failed; null if it did not" }),
  })
  .meta({ id: "Attempt", description: "An attempt that has ended" });

const stateFields = {
  ...SummaryAnswer.shape,
  created_at: timeAnswer,
  duration: durationAnswer.meta({
    description: "Time spent working, over all attempts; a Go duration; grows while running",
  }),
  type: z.string().meta({ description: "The kind of work", examples: ["video.encode"] }),
  priority: z
    .int()
    .min(-LIMITS.priority)
    .max(LIMITS.priority)
    .meta({ description: "Tasks with a higher priority are claimed first" }),
  tags: z.array(z.string()).meta({ description: "Words to filter by" }),
  labels: z
    .record(z.string(), z.string())
    .meta({ description: "Values by name to filter by", examples: [{ region: "eu" }] }),
  key: z
    .string()
    .nullable()
    .meta({ description: "Unique among tasks that have not ended; null if not given" }),
  run_at: timeAnswer.meta({ description: "When it is due; RFC 3339, UTC" }),
  timeout: durationAnswer
    .nullable()
    .meta({ description: "The time limit of one attempt, a Go duration; null: no limit" }),
  attempt: z
    .int()
    .min(0)
    .meta({ description: "How often it was started since its creation or its last retry" }),
  max_attempts: z
    .int()
    .min(1)
    .meta({ description: "The number of failed attempts after which the task fails" }),
  progress: ProgressAnswer.nullable().meta({
    description: "The last progress that its worker reported; null before the first",
  }),
  error: FailureAnswer.nullable().meta({
    description: "Why the latest failed attempt failed; null if none failed",
  }),
  attempts: z
    .array(AttemptAnswer)
    .max(LIMITS.attemptsKept)
    .meta({ description: "The latest attempts that have ended, oldest first" }),
  cancel_requested: z.boolean().meta({ description: "Whether the worker was asked to stop" }),
  started_at: timeAnswer
    .nullable()
    .meta({ description: "When the latest attempt started; null before the first" }),
  finished_at: timeAnswer.nullable().meta({ description: "When it ended; null until then" }),
  updated_at: timeAnswer.meta({ description: "When it last changed; RFC 3339, UTC" }),
  version: z.int().min(1).meta({
    description: "Increases by one with each change, but not with heartbeats, progress and log lines",
  }),
};

const taskFields = {
  ...stateFields,
  payload: z.unknown().meta({ description: "Any JSON, as the text that was sent; null if there is none" }),
  result: z
    .unknown()
    .meta({ description: "Any JSON, as the text that the worker sent; null if there is none" }),
};

export const TaskAnswer = z.object(taskFields).meta({ id: "Task", description: "A task" });

export const stateNames = Object.keys(stateFields);
export const taskNames = Object.keys(taskFields);

/** The type that the schema of an answer describes, read-only. */
export type Wire<S extends z.ZodType> = Frozen<z.output<S>>;
type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

/** A field that the schema has and `answerOf` lacks, or the reverse, does not compile. */
type TaskWire = Wire<typeof TaskAnswer>;

export const presentSummary = (task: LightTask): string =>
  `{"id":${task.id},"name":${quote(task.name)},"description":${quote(task.description)},"status":"${task.status}"}`;

/** The whole task. Payload and result are JSON already and are sent as they were received. */
export function presentTask(task: Task, now: number): string {
  const text = JSON.stringify(answerOf(task, now));
  return withRaw(withRaw(text, "result", task.result), "payload", task.payload);
}

/** The task without payload and result, which may be long. */
export const presentState = (task: LightTask, now: number): string =>
  JSON.stringify({ ...answerOf(task, now), payload: undefined, result: undefined });

function answerOf(task: LightTask, now: number): TaskWire {
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
    labels: task.labels,
    key: task.key,
    run_at: task.runAt === task.createdAt ? createdAt : timestamp(task.runAt),
    timeout: task.timeoutMs === null ? null : formatDurationMs(task.timeoutMs),
    attempt: task.attempt,
    max_attempts: task.maxAttempts,
    progress: task.progress,
    result: null,
    error: task.error,
    attempts: task.attempts.length === 0 ? NO_ATTEMPTS : task.attempts.map(attemptAnswer),
    cancel_requested: isCancelRequested(task),
    started_at: task.startedAt === null ? null : timestamp(task.startedAt),
    finished_at: task.finishedAt === null ? null : timestamp(task.finishedAt),
    updated_at: task.updatedAt === task.createdAt ? createdAt : timestamp(task.updatedAt),
    version: task.version,
  };
}

/**
 * Replaces the null of a member by JSON. The first `"name":null` is that member: quotes within strings are
 * escaped, so no text of a client can look like one.
 */
const withRaw = (text: string, name: string, json: JsonText | null): string =>
  json === null ? text : text.replace(`"${name}":null`, () => `"${name}":${json}`);

const NO_ATTEMPTS: TaskWire["attempts"] = [];

const attemptAnswer = (attempt: Attempt): TaskWire["attempts"][number] => ({
  attempt: attempt.attempt,
  worker: attempt.worker,
  started_at: timestamp(attempt.startedAt),
  finished_at: timestamp(attempt.finishedAt),
  outcome: attempt.outcome,
  error: attempt.error,
});

const quote = (value: unknown): string => JSON.stringify(value);

export const timestamp = (ms: number): string => new Date(ms).toISOString();
