/**
 * The bodies that create and change tasks, parsed into the specs and patches of core. The rules of the fields
 * are in core.
 */
import { z } from "zod";
import type { TaskPatch, TaskSpec } from "../core/lifecycle.ts";
import {
  descriptionFault,
  keyFault,
  LABEL_NAME,
  type Labels,
  LIMITS,
  labelNameFault,
  labelValueFault,
  nameFault,
  TYPE,
  tagFault,
  typeFault,
} from "../core/task.ts";
import { parseTime } from "../core/time.ts";
import type { JsonBody } from "./json-body.ts";
import { listOf } from "./list-schema.ts";
import { rawJson, withRawPayloads } from "./raw-json.ts";
import { duration, text } from "./shared-schemas.ts";
import { validate } from "./validate.ts";

// ---- fields

const CENTURY_MS = 100 * 365 * 86_400_000;
const span = duration(0, CENTURY_MS, 'must be a duration such as "250ms", "30s" or "1h30m"').meta({
  examples: ["30s"],
});
const limit = duration(1, CENTURY_MS, 'must be a duration of at least 1ms, such as "90s"').meta({
  examples: ["90s"],
});

const time = z
  .string()
  .transform((value, context) => {
    const read = parseTime(value);
    if ("ms" in read) return read.ms;
    context.addIssue({ code: "custom", message: read.fault });
    return z.NEVER;
  })
  .meta({ format: "date-time", examples: ["2026-01-31T12:00:00Z"] });

const name = text(nameFault, (value) => value.trim()).meta({
  description: "White space around it is removed; the length is counted in code points",
  minLength: 1,
  maxLength: LIMITS.nameCodePoints,
  examples: ["someName"],
});

const description = text(descriptionFault).meta({
  description: "The length is counted in code points",
  maxLength: LIMITS.descriptionCodePoints,
  examples: ["some description"],
});

const type = text(typeFault).meta({
  description: "The kind of work: workers claim tasks by type; `simulate` unless given",
  pattern: TYPE.source,
  examples: ["video.encode"],
});

const payload = rawJson.meta({
  description:
    "Any JSON, for the handler; stored as the text that was sent, with all digits and the order of keys",
  examples: [{ input: "a.mp4" }],
});

const priority = z
  .int()
  .min(-LIMITS.priority, `must be a whole number from -${LIMITS.priority} to ${LIMITS.priority}`)
  .max(LIMITS.priority, `must be a whole number from -${LIMITS.priority} to ${LIMITS.priority}`)
  .meta({ description: "Tasks with a higher priority are claimed first; 0 unless given" });

const maxAttempts = z
  .int()
  .min(1, `must be a whole number from 1 to ${LIMITS.maxAttempts}`)
  .max(LIMITS.maxAttempts, `must be a whole number from 1 to ${LIMITS.maxAttempts}`)
  .meta({
    description:
      "The number of failed attempts after which the task fails; unless given, 3, or 1 for `simulate`",
  });

const tags = listOf(text(tagFault).meta({ minLength: 1, maxLength: LIMITS.tagCodePoints }), {
  most: LIMITS.tags,
  mostWords: `must be at most ${LIMITS.tags} tags`,
}).meta({ description: "Words to filter by", examples: [["nightly"]] });

/** The record's schema ignores a member named `__proto__`, so the names are checked before it. */
const labels = z
  .preprocess(
    (value, context) => {
      if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
      const names = Object.keys(value);
      if (names.length > LIMITS.labels) {
        context.addIssue({ code: "custom", message: `must be at most ${LIMITS.labels} labels` });
        return z.NEVER;
      }
      for (const name of names) {
        const message = labelNameFault(name);
        if (message !== null) context.addIssue({ code: "custom", path: [name], message });
      }
      return value;
    },
    z.record(
      z.string().meta({ pattern: LABEL_NAME.source }),
      text(labelValueFault).meta({ maxLength: LIMITS.labelValueCodePoints }),
    ),
  )
  .transform(sortedByName)
  .meta({
    description: "Values by name to filter by",
    maxProperties: LIMITS.labels,
    examples: [{ region: "eu" }],
  });

/** Sorts the names: every store keeps this order, whatever the order in the request. */
function sortedByName(labels: Labels): Labels {
  const names = Object.keys(labels).sort();
  return Object.fromEntries(names.map((name) => [name, labels[name] ?? ""]));
}

const backoff = z
  .strictObject({
    base: span.meta({ description: "The longest pause before the second attempt, a Go duration" }),
    max: span.meta({ description: "The longest pause before any attempt, a Go duration" }),
  })
  .transform(({ base, max }) => ({ baseMs: base, maxMs: max }))
  .meta({
    id: "Backoff",
    description: "The pause before a retry is random, up to base · 2ⁿ and at most max",
    examples: [{ base: "1s", max: "1h" }],
  });

// ---- creating

const OneTask = z
  .strictObject({
    name,
    description: description
      .nullish()
      .meta({ description: "The length is counted in code points; empty unless given" }),
    type: type.exactOptional(),
    payload: payload.exactOptional(),
    priority: priority.exactOptional(),
    run_at: time.exactOptional().meta({ description: "When it is due, RFC 3339; now unless given" }),
    delay: span
      .exactOptional()
      .meta({ description: "The delay until it is due, a Go duration, instead of run_at" }),
    timeout: limit
      .nullable()
      .exactOptional()
      .meta({ description: "The time limit of one attempt, a Go duration; null: no limit" }),
    max_attempts: maxAttempts.exactOptional(),
    backoff: backoff.exactOptional(),
    tags: tags.exactOptional(),
    labels: labels.exactOptional(),
    key: text(keyFault)
      .meta({ minLength: 1, maxLength: LIMITS.keyCodePoints })
      .nullable()
      .exactOptional()
      .meta({
        description:
          "Unique among tasks that have not ended: a create with the key of such a task returns the id of that task",
      }),
  })
  .refine((task) => task.run_at === undefined || task.delay === undefined, {
    path: ["delay"],
    error: "must not be given beside run_at",
    when: ({ issues }) => issues.length === 0,
  })
  .transform(
    ({ payload, run_at, delay, timeout, max_attempts, ...same }): TaskSpec => ({
      ...same,
      description: same.description ?? "",
      ...renamed({ payload, run_at, delay, timeout, max_attempts }),
    }),
  );

/**
 * Most tasks have only the fields of the first version. Checking ten missing fields would cost a microsecond
 * for each task.
 */
const PlainTask = z
  .strictObject({ name, description: description.nullish() })
  .transform((task): TaskSpec => ({ name: task.name, description: task.description ?? "" }));

/** The faster schema for this value. Both accept the same tasks. */
function taskSchemaFor(value: unknown): typeof PlainTask | typeof OneTask {
  if (typeof value !== "object" || value === null) return OneTask;
  for (const field in value) if (field !== "name" && field !== "description") return OneTask;
  return PlainTask;
}

/** The fields that have another name in core. */
type RenamedFields = {
  readonly payload?: string | null | undefined;
  readonly run_at?: number | undefined;
  readonly delay?: number | undefined;
  readonly timeout?: number | null | undefined;
  readonly max_attempts?: number | undefined;
};

/**
 * These fields with their names in core. A field that was not given is left out: the type has a default, or
 * the task keeps its value.
 */
const renamed = ({ payload, run_at, delay, timeout, max_attempts }: RenamedFields) => ({
  ...(payload === undefined ? {} : { payload }),
  ...(run_at === undefined ? {} : { runAt: run_at }),
  ...(delay === undefined ? {} : { delayMs: delay }),
  ...(timeout === undefined ? {} : { timeoutMs: timeout }),
  ...(max_attempts === undefined ? {} : { maxAttempts: max_attempts }),
});

const TASK_EXAMPLE = { name: "someName", description: "some description" };

export const TaskInput = OneTask.meta({
  id: "TaskInput",
  description: "A task to create",
  examples: [TASK_EXAMPLE],
});
/**
 * The same fields under another name: elements of an array will get fields that a single task cannot have.
 */
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
      context.addIssue({ code: "custom", path: [at, "key"], message: "is in this array twice" });
    }
    keys.add(key);
  }
});

/** For the OpenAPI document. Requests are checked by `specsOf`. */
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

/** The tasks of a body: one, or an array of them. Throws `invalid` with all faults. */
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
      .meta({
        description: "Null makes it empty; the length is counted in code points",
        examples: ["another description"],
      }),
    tags: tags.exactOptional(),
    labels: labels.exactOptional(),
    payload: payload.exactOptional(),
    priority: priority.exactOptional(),
    run_at: time.exactOptional().meta({ description: "When it is due, RFC 3339" }),
    timeout: limit
      .nullable()
      .exactOptional()
      .meta({ description: "The time limit of one attempt, a Go duration; null: no limit" }),
    max_attempts: maxAttempts.exactOptional(),
  })
  .refine((patch) => Object.keys(patch).length > 0, {
    error:
      "must name at least one field: name, description, tags, labels, or of a pending task payload, priority, run_at, timeout, max_attempts",
    when: ({ issues }) => issues.length === 0,
  })
  .transform(
    ({ payload, run_at, timeout, max_attempts, ...same }): TaskPatch => ({
      ...same,
      ...renamed({ payload, run_at, timeout, max_attempts }),
    }),
  )
  .meta({
    id: "TaskEdit",
    description: "The fields to change; the others keep their values",
    minProperties: 1,
    examples: [{ name: "another name" }, { priority: 5, payload: { input: "b.mp4" } }],
  });
