/** Tasks as clients create and change them: JSON in, the specs and patches of core out. */
import { z } from "zod";
import type { TaskPatch, TaskSpec } from "../core/lifecycle.ts";
import { keyFault, LIMITS } from "../core/task.ts";
import type { JsonBody } from "./json-body.ts";
import { listOf } from "./list-schema.ts";
import { withRawPayloads } from "./raw-json.ts";
import {
  backoff,
  description,
  limit,
  maxAttempts,
  name,
  payload,
  priority,
  span,
  tags,
  text,
  time,
  type,
} from "./task-fields.ts";
import { validate } from "./validate.ts";

// ---- creating

const OneTask = z
  .strictObject({
    name,
    description: description.nullish().meta({ description: "Counted in code points; empty without it" }),
    type: type.exactOptional(),
    payload: payload.exactOptional(),
    priority: priority.exactOptional(),
    run_at: time.exactOptional().meta({ description: "When it is due, RFC 3339; now without it" }),
    delay: span
      .exactOptional()
      .meta({ description: "In how long it is due, a Go duration, in place of run_at" }),
    timeout: limit
      .nullable()
      .exactOptional()
      .meta({ description: "Of one attempt, a Go duration; null: none" }),
    max_attempts: maxAttempts.exactOptional(),
    backoff: backoff.exactOptional(),
    tags: tags.exactOptional(),
    key: text(keyFault)
      .meta({ minLength: 1, maxLength: LIMITS.keyCodePoints })
      .nullable()
      .exactOptional()
      .meta({ description: "Unique among live tasks: a second task with it stands for the first" }),
  })
  .refine((task) => task.run_at === undefined || task.delay === undefined, {
    path: ["delay"],
    error: "must not be given beside run_at",
    when: ({ issues }) => issues.length === 0,
  })
  .transform(specOf);

/** Most tasks say no more than the first version knew; looking for ten fields that are not there costs a create a microsecond. */
const PlainTask = z
  .strictObject({ name, description: description.nullish() })
  .transform((task): TaskSpec => ({ name: task.name, description: task.description ?? "" }));

/** The schema that is quickest to tell about this value; both mean the same. */
function taskSchemaFor(value: unknown): typeof PlainTask | typeof OneTask {
  if (typeof value !== "object" || value === null) return OneTask;
  for (const field in value) if (field !== "name" && field !== "description") return OneTask;
  return PlainTask;
}

type OneTask = {
  readonly name: string;
  readonly description?: string | null | undefined;
  readonly type?: string;
  readonly payload?: string | null | undefined;
  readonly priority?: number;
  readonly run_at?: number;
  readonly delay?: number;
  readonly timeout?: number | null;
  readonly max_attempts?: number;
  readonly backoff?: { readonly baseMs: number; readonly maxMs: number };
  readonly tags?: string[];
  readonly key?: string | null;
};

/** The names of the wire become those of core; what was not given stays so, for its type has a default. */
function specOf(task: OneTask): TaskSpec {
  const { run_at, delay, timeout, max_attempts, payload, ...same } = task;
  return {
    ...same,
    description: task.description ?? "",
    ...(payload === undefined ? {} : { payload }),
    ...(run_at === undefined ? {} : { runAt: run_at }),
    ...(delay === undefined ? {} : { delayMs: delay }),
    ...(timeout === undefined ? {} : { timeoutMs: timeout }),
    ...(max_attempts === undefined ? {} : { maxAttempts: max_attempts }),
  };
}

const TASK_EXAMPLE = { name: "someName", description: "some description" };

const TaskInput = OneTask.meta({
  id: "TaskInput",
  description: "A task to create",
  examples: [TASK_EXAMPLE],
});
/** The same fields. A name of its own, because an element of an array will say more than a task alone can. */
const BatchItem = OneTask.meta({
  id: "BatchItem",
  description: "One of several tasks to create",
  examples: [TASK_EXAMPLE],
});

const ManyTasks = listOf(OneTask, {
  ...{ least: 1, leastWords: "must hold at least one task" },
  ...{ most: LIMITS.batch, mostWords: `must hold at most ${LIMITS.batch} tasks` },
}).superRefine((tasks, context) => {
  const keys = new Set<string>();
  for (const [at, { key }] of tasks.entries()) {
    if (key == null) continue;
    if (keys.has(key)) {
      context.addIssue({ code: "custom", path: [at, "key"], message: "stands twice in this array" });
    }
    keys.add(key);
  }
});

/** As it is documented; `specsOf` decides. */
const TaskBatch = z
  .array(BatchItem)
  .min(1)
  .max(LIMITS.batch)
  .meta({ id: "TaskBatch", description: "Tasks of which all are created or none" });
export const CreateBody = z.xor([TaskInput, TaskBatch]).meta({
  id: "CreateBody",
  description: "A task, or an array of tasks of which all are created or none",
  examples: [TASK_EXAMPLE, [{ name: "first" }, { name: "second", type: "video.encode", delay: "30s" }]],
});

/** The tasks that a body asks for: it is one, or an array of them. Throws `invalid` with every fault. */
export function specsOf(body: JsonBody): TaskSpec[] {
  const value = withRawPayloads(body);
  return Array.isArray(value) ? validate(ManyTasks, value) : [validate(taskSchemaFor(value), value)];
}

// ---- changing

export const PatchBody = z
  .strictObject({
    name: name.exactOptional(),
    description: description
      .nullable()
      .transform((value) => value ?? "")
      .exactOptional()
      .meta({ description: "Null empties it; counted in code points", examples: ["another description"] }),
    tags: tags.exactOptional(),
    payload: payload.exactOptional(),
    priority: priority.exactOptional(),
    run_at: time.exactOptional().meta({ description: "When it is due, RFC 3339" }),
    timeout: limit
      .nullable()
      .exactOptional()
      .meta({ description: "Of one attempt, a Go duration; null: none" }),
    max_attempts: maxAttempts.exactOptional(),
  })
  .refine((patch) => Object.keys(patch).length > 0, {
    error:
      "must name at least one field: name, description, tags, or of a pending task payload, priority, run_at, timeout, max_attempts",
    when: ({ issues }) => issues.length === 0,
  })
  .transform(
    ({ run_at, timeout, max_attempts, payload, ...same }): TaskPatch => ({
      ...same,
      ...(payload === undefined ? {} : { payload }),
      ...(run_at === undefined ? {} : { runAt: run_at }),
      ...(timeout === undefined ? {} : { timeoutMs: timeout }),
      ...(max_attempts === undefined ? {} : { maxAttempts: max_attempts }),
    }),
  )
  .meta({
    id: "TaskEdit",
    description: "The fields to change; the others stay as they are",
    minProperties: 1,
    examples: [{ name: "another name" }, { priority: 5, payload: { input: "b.mp4" } }],
  });
