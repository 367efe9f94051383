/** What the API answers about tasks. Each named schema is a type in generated clients. */
import { z } from "zod";
import { LIMITS } from "../core/task.ts";
import {
  durationAnswer,
  FailureAnswer,
  LogLevelName,
  ProgressAnswer,
  TaskStatus,
  taskId,
  timeAnswer,
} from "../wire/shared-schemas.ts";

const name = z.string().meta({ description: "The task's name", examples: ["someName"] });
const description = z.string().meta({ description: "What the task is about; empty where nothing was said" });

export const SummaryAnswer = z.object({ id: taskId, name, description, status: TaskStatus });

const AttemptAnswer = z
  .object({
    attempt: z.int().min(1).meta({ description: "The number of the start: 1, 2, …" }),
    worker: z.string().meta({ description: "The name of the worker that had it" }),
    started_at: timeAnswer,
    finished_at: timeAnswer,
    outcome: z.enum(["done", "failed", "released", "lost", "cancelled"]).meta({
      id: "AttemptOutcome",
      description: "How an attempt ended; `lost`: its worker was not heard of",
    }),
    error: FailureAnswer.nullable().meta({ description: "Why it failed; null where it did not" }),
  })
  .meta({ id: "Attempt", description: "An attempt that has ended" });

const lightFields = {
  ...SummaryAnswer.shape,
  created_at: timeAnswer,
  duration: durationAnswer.meta({
    description: "Time spent working, over all attempts; a Go duration; grows while running",
  }),
  type: z.string().meta({ description: "What kind of work it is", examples: ["video.encode"] }),
  priority: z.int().min(-LIMITS.priority).max(LIMITS.priority).meta({ description: "Higher goes first" }),
  tags: z.array(z.string()).meta({ description: "Words to find it by" }),
  key: z.string().nullable().meta({ description: "Unique among live tasks; null where none was given" }),
  run_at: timeAnswer.meta({ description: "When it is due; RFC 3339, UTC" }),
  timeout: durationAnswer.nullable().meta({ description: "Of one attempt, a Go duration; null: none" }),
  attempt: z.int().min(0).meta({ description: "How often it was started since it was created or retried" }),
  max_attempts: z.int().min(1).meta({ description: "Failures after which it has failed" }),
  progress: ProgressAnswer.nullable().meta({ description: "What its worker said last; null before" }),
  error: FailureAnswer.nullable().meta({
    description: "Why the latest failed attempt failed; null where none did",
  }),
  attempts: z
    .array(AttemptAnswer)
    .max(LIMITS.attemptsKept)
    .meta({ description: "The latest attempts that have ended, oldest first" }),
  cancel_requested: z.boolean().meta({ description: "Whether its worker was asked to stop" }),
  started_at: timeAnswer
    .nullable()
    .meta({ description: "Start of the latest attempt; null before the first" }),
  finished_at: timeAnswer.nullable().meta({ description: "When it ended; null before" }),
  updated_at: timeAnswer.meta({ description: "When it last changed; RFC 3339, UTC" }),
  version: z
    .int()
    .min(1)
    .meta({ description: "Rises by one with each change, but not with progress and log lines" }),
};

const taskFields = {
  ...lightFields,
  payload: z.unknown().meta({ description: "Any JSON, as the text that was sent; null where none was" }),
  result: z.unknown().meta({ description: "Any JSON, as its worker sent it; null before it is done" }),
};

export const TaskAnswer = z.object(taskFields).meta({ id: "Task", description: "A task" });

const lightNames = Object.keys(lightFields);
const taskNames = Object.keys(taskFields);

/** A task of a list, however much of it was asked for: a choice of three shapes is more than most generators can tell apart. */
export const ListedTaskAnswer = TaskAnswer.partial()
  .extend(SummaryAnswer.shape)
  .meta({
    id: "ListedTask",
    description:
      "A task of a list: its first four fields; with `view=state` all but payload and result; with `view=full` all",
    dependentRequired: { version: lightNames, payload: taskNames, result: taskNames },
  });

/** All that a create can answer, as one type: some generators take only one for all statuses, others the first alone. */
export const CreateAnswer = z
  .object({
    message: z
      .string()
      .optional()
      .meta({
        description: "What was done; not beside a task that was waited for",
        examples: ["Task created successfully"],
      }),
    task_id: taskId.optional().meta({ description: "The id of the task, where it is one" }),
    task_ids: z
      .array(taskId)
      .optional()
      .meta({ description: "The ids of the tasks, in the order of an array that was sent" }),
    ...TaskAnswer.partial().shape,
  })
  .meta({
    id: "CreateAnswer",
    description:
      "`message` and `task_id`; for an array `message` and `task_ids`; with `Prefer: wait`, when the task has ended in time, the task itself",
    minProperties: 2,
    dependentRequired: {
      ...Object.fromEntries(taskNames.map((field) => [field, taskNames])),
      task_id: ["message"],
      task_ids: ["message"],
    },
  });

export const LogAnswer = z
  .array(
    z
      .object({
        n: z.int().min(1).meta({ description: "Its number; the first line of a task is 1" }),
        at: timeAnswer,
        level: LogLevelName,
        message: z.string().meta({ description: "Its text" }),
      })
      .meta({ id: "LogLine", description: "A line of a task's log" }),
  )
  .meta({ description: "Log lines, oldest first" });

export const BulkAnswer = z
  .object({
    count: z.int().min(0).meta({ description: "How many tasks the filter takes, or were acted upon" }),
    up_to_id: z
      .int()
      .min(0)
      .optional()
      .meta({ description: "Of a dry run: the highest id that was looked at" }),
    dry_run: z.boolean().optional().meta({ description: "True where nothing was done" }),
    refused: z
      .int()
      .min(0)
      .optional()
      .meta({ description: "How many tasks their own rule kept as they were" }),
    next: taskId
      .nullable()
      .optional()
      .meta({ description: "Send it as `after_id` to go on; null: all is done" }),
  })
  .meta({
    id: "BulkAnswer",
    description: "Of a dry run `count`, `up_to_id` and `dry_run`; else `count`, `refused` and `next`",
    minProperties: 3,
    dependentRequired: { up_to_id: ["dry_run"], dry_run: ["up_to_id"], refused: ["next"], next: ["refused"] },
  });

export const UpdatedAnswer = z
  .object({
    message: z.string().meta({ description: "What was done", examples: ["Task updated successfully"] }),
    task_id: taskId,
  })
  .meta({ id: "EditAnswer", description: "The task was changed" });
