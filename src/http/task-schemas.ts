/** What clients may send about tasks: fields, filters, lists. The rules themselves are core's. */
import { z } from "zod";
import { parseDurationMs } from "../core/duration.ts";
import type { TaskPatch, TaskSpec } from "../core/lifecycle.ts";
import { parseSearch, searchFault } from "../core/search.ts";
import {
  descriptionFault,
  keyFault,
  LIMITS,
  MAX_TASK_ID,
  nameFault,
  type Status,
  TYPE,
  TYPE_PATTERN,
  tagFault,
  textFault,
  typeFault,
  typePatternFault,
} from "../core/task.ts";
import { parseTime } from "../core/time.ts";
import type { Cursor, Sort, TaskFilter } from "../engine/engine.ts";
import type { JsonBody } from "./body.ts";
import { listOf, membersOf } from "./list-schema.ts";
import { rawJson, withRawPayloads } from "./raw-json.ts";
import { DURATION_PATTERN, TaskStatus, taskId } from "./shared-schemas.ts";
import { validate } from "./wire.ts";

/** Text that a rule of core accepts; `tidy` is applied first. */
export const text = (
  rule: (value: string) => string | null,
  tidy: (value: string) => string = (value) => value,
) =>
  z.string().transform((value, context) => {
    const tidied = tidy(value);
    const fault = rule(tidied);
    if (fault !== null) context.addIssue({ code: "custom", message: fault });
    return tidied;
  });

/** Text that every store can keep and look for. */
export const storable = text(textFault);

/** A Go duration within bounds, in milliseconds. */
export const duration = (leastMs: number, mostMs: number, words: string) =>
  z
    .string()
    .transform((value, context) => {
      const ms = parseDurationMs(value);
      if (ms !== null && ms >= leastMs && ms <= mostMs) return ms;
      context.addIssue({ code: "custom", message: words });
      return z.NEVER;
    })
    .meta({ pattern: DURATION_PATTERN });

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
  description: "White space around it is cut off; counted in code points",
  minLength: 1,
  maxLength: LIMITS.nameCodePoints,
  examples: ["someName"],
});

const description = text(descriptionFault).meta({
  description: "Counted in code points",
  maxLength: LIMITS.descriptionCodePoints,
  examples: ["some description"],
});

const type = text(typeFault).meta({
  description: "What kind of work it is; a worker that takes this type does it; `simulate` without it",
  pattern: TYPE.source,
  examples: ["video.encode"],
});

const payload = rawJson.meta({
  description: "Any JSON, for the handler; kept as the text that was sent, digits and key order included",
  examples: [{ input: "a.mp4" }],
});

const priority = z
  .int()
  .min(-LIMITS.priority, `must be a whole number from -${LIMITS.priority} to ${LIMITS.priority}`)
  .max(LIMITS.priority, `must be a whole number from -${LIMITS.priority} to ${LIMITS.priority}`)
  .meta({ description: "Higher goes first; 0 without it" });

const maxAttempts = z
  .int()
  .min(1, `must be a whole number from 1 to ${LIMITS.maxAttempts}`)
  .max(LIMITS.maxAttempts, `must be a whole number from 1 to ${LIMITS.maxAttempts}`)
  .meta({ description: "Failures after which it has failed; 1 for `simulate`, else 3 without it" });

const tags = listOf(text(tagFault).meta({ minLength: 1, maxLength: LIMITS.tagCodePoints }), {
  most: LIMITS.tags,
  mostWords: `must be at most ${LIMITS.tags} tags`,
}).meta({ description: "Words to find it by", examples: [["nightly"]] });

const backoff = z
  .strictObject({
    base: span.meta({ description: "The longest pause before the second attempt, a Go duration" }),
    max: span.meta({ description: "The longest pause before any attempt, a Go duration" }),
  })
  .transform(({ base, max }) => ({ baseMs: base, maxMs: max }))
  .meta({
    id: "Backoff",
    description: "A retry waits up to base · 2ⁿ, at most max",
    examples: [{ base: "1s", max: "1h" }],
  });

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

// ---- finding

const typePattern = text(typePatternFault).meta({
  pattern: TYPE_PATTERN.source,
  examples: ["video.*"],
});

const search = z
  .string("must be given once")
  .min(1, "must not be empty")
  .transform((query, context) => {
    const fault = searchFault(query);
    if (fault === null) return parseSearch(query);
    context.addIssue({ code: "custom", message: fault });
    return z.NEVER;
  })
  .meta({
    description: `Up to ${LIMITS.searchTerms} words that are all contained in name, description or the payload's strings (the first 4 KiB), in any case; \`payload.a.b:text\` asks one field`,
    maxLength: LIMITS.searchLength,
  });

const statuses = membersOf(TaskStatus, "statuses");
const types = membersOf(typePattern, "types");
const filterTags = membersOf(storable, "tags");

const whole = (least: number, most: number) =>
  z
    .string("must be given once")
    .regex(/^(0|[1-9]\d{0,15})$/, `must be a whole number from ${least} to ${most}`)
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must be a whole number from ${least} to ${most}`)
    .meta({ type: "integer", minimum: least, maximum: most });

export const SORTS = ["id", "-id", "finished_at", "-finished_at"] as const satisfies readonly Sort[];

/** How much of each task a list brings; without one the four fields of the first version. */
const VIEWS = ["full", "state"] as const;

export const ListQuery = z.strictObject({
  limit: whole(1, 1_000)
    .optional()
    .meta({ description: "The most tasks of a page; without it the list is whole, however long" }),
  cursor: z
    .string("must be given once")
    .optional()
    .meta({ description: "Where to go on: out of the Link header of the page before" }),
  status: statuses.optional().meta({ description: "One of these" }),
  type: types.optional().meta({ description: "One of these; a prefix may end in `*`" }),
  tag: filterTags.optional().meta({ description: "All of these" }),
  q: search.optional(),
  sort: z
    .enum(SORTS)
    .meta({ id: "TaskSort", description: "The order of a list" })
    .optional()
    .meta({ description: "By id, or ended tasks alone by their end; `-`: backwards" }),
  view: z
    .enum(VIEWS)
    .meta({ id: "TaskView", description: "How much of each task a list brings" })
    .optional()
    .meta({ description: "`full`: whole tasks; `state`: all of them but payload and result" }),
});
export type ListQuery = z.output<typeof ListQuery>;

type Wanted = {
  readonly status?: readonly Status[] | undefined;
  readonly type?: readonly string[] | undefined;
  readonly tag?: readonly string[] | undefined;
  readonly q?: ReturnType<typeof parseSearch> | undefined;
};

export const filterOf = ({ status, type, tag, q }: Wanted): TaskFilter => ({
  ...(status === undefined ? {} : { statuses: status }),
  ...(type === undefined ? {} : { types: type }),
  ...(tag === undefined ? {} : { tags: tag }),
  ...(q === undefined ? {} : { search: q }),
});

/** Opaque to clients; it says of which order it is, so that no other takes it for its own. */
export const formatCursor = (sort: Sort, { id, finishedAt }: Cursor): string =>
  Buffer.from(isByEnd(sort) ? `${sort}:${id}:${finishedAt}` : `${sort}:${id}`).toString("base64url");

const isByEnd = (sort: Sort): boolean => sort.endsWith("finished_at");

/** The place that a cursor names in this order; null for a text that is none, or of another order. */
export function parseCursor(sort: Sort, cursor: string): Cursor | null {
  const text = Buffer.from(cursor, "base64url").toString("latin1");
  const [, of, id, finishedAt] = /^(-?[a-z_]+):([1-9]\d{0,15})(?::(-?\d{1,16}))?$/.exec(text) ?? [];
  if (of !== sort || Number(id) > MAX_TASK_ID || isByEnd(sort) !== (finishedAt !== undefined)) return null;
  return { id: Number(id), finishedAt: finishedAt === undefined ? null : Number(finishedAt) };
}

export const LogQuery = z.strictObject({
  after: whole(0, 2_147_483_647)
    .optional()
    .meta({ description: "The number of the last line that is known" }),
});

// ---- many at once

export const BulkBody = z
  .strictObject({
    filter: z
      .strictObject({
        status: statuses.exactOptional().meta({ description: "One of these" }),
        type: types.exactOptional().meta({ description: "One of these; a prefix may end in `*`" }),
        tag: filterTags.exactOptional().meta({ description: "All of these" }),
        q: search.exactOptional(),
      })
      .meta({ id: "TaskFilter", description: "Which tasks: all that is given must hold" }),
    action: z
      .enum(["cancel", "retry", "delete"])
      .meta({ id: "BulkAction", description: "What is done to each task" }),
    all: z.boolean().exactOptional().meta({ description: "Must be true where the filter is empty" }),
    dry_run: z.boolean().exactOptional().meta({ description: "Only count the tasks" }),
    up_to_id: z
      .int()
      .min(0)
      .max(MAX_TASK_ID)
      .exactOptional()
      .meta({ description: "Leave tasks with higher ids alone; a dry run answers with it" }),
    after_id: taskId.exactOptional().meta({ description: "The `next` of the call before" }),
  })
  .refine(({ filter, all }) => all === true || Object.keys(filter).length > 0, {
    path: ["filter"],
    error: 'is empty, which means every task; say so with "all": true',
    when: ({ issues }) => issues.length === 0,
  })
  .meta({
    id: "BulkRequest",
    description: "Which tasks, and what is done to them",
    examples: [{ filter: { status: ["failed"] }, action: "retry", dry_run: true }],
  });
export type BulkBody = z.output<typeof BulkBody>;

/**
 * For calls that need no body and take an empty one. The document names none, so that generated calls have no argument for it; where
 * version 0.1 named an optional one, a client that openapi-generator makes for Go sends `null` for the lack of it.
 */
export const EmptyBody = z.strictObject({});
export const NO_BODY = "No body is needed; an empty object and `null` are taken as well.";
