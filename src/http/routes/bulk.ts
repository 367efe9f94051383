/** One action on all tasks that a filter takes. */
import { z } from "zod";
import { isTaskError } from "../../core/error.ts";
import { MAX_TASK_ID, type TaskHead } from "../../core/task.ts";
import type { Cursor, Producers, TaskPage } from "../../engine/producers.ts";
import { taskId } from "../../wire/shared-schemas.ts";
import { validate } from "../../wire/validate.ts";
import { jsonBody, readJson } from "../body.ts";
import { yieldToEventLoop } from "../json-list.ts";
import { filterLabels, filterOf, filterTags, search, statuses, types } from "../list-query.ts";
import type { Route } from "../route.ts";

export const BulkBody = z
  .strictObject({
    filter: z
      .strictObject({
        status: statuses.exactOptional().meta({ description: "One of these" }),
        type: types.exactOptional().meta({ description: "One of these; a prefix may end in `*`" }),
        tag: filterTags.exactOptional().meta({ description: "All of these" }),
        label: filterLabels.exactOptional().meta({ description: "All of these, each as `name:value`" }),
        q: search.exactOptional(),
      })
      .meta({ id: "TaskFilter", description: "Which tasks: all given conditions must hold" }),
    action: z
      .enum(["cancel", "retry", "delete"])
      .meta({ id: "BulkAction", description: "The action on each task" }),
    all: z.boolean().exactOptional().meta({ description: "Must be true if the filter is empty" }),
    dry_run: z.boolean().exactOptional().meta({ description: "Count the tasks without changing them" }),
    up_to_id: z
      .int()
      .min(0)
      .max(MAX_TASK_ID)
      .exactOptional()
      .meta({ description: "Tasks with higher ids are left out; a dry run answers with this id" }),
    after_id: taskId.exactOptional().meta({ description: "The `next` of the previous call" }),
  })
  .refine(({ filter, all }) => all === true || Object.keys(filter).length > 0, {
    path: ["filter"],
    error: 'is empty, which means every task; say so with "all": true',
    when: ({ issues }) => issues.length === 0,
  })
  .meta({
    id: "BulkRequest",
    description: "Tasks, and the action on them",
    examples: [{ filter: { status: ["failed"] }, action: "retry", dry_run: true }],
  });
type BulkBody = z.output<typeof BulkBody>;

const BulkAnswer = z
  .object({
    count: z.int().min(0).meta({ description: "How many tasks match the filter, or were changed" }),
    up_to_id: z.int().min(0).optional().meta({ description: "The highest id at the time of a dry run" }),
    dry_run: z.boolean().optional().meta({ description: "True if nothing was changed" }),
    refused: z
      .int()
      .min(0)
      .optional()
      .meta({ description: "How many tasks did not allow the action in their state" }),
    next: taskId
      .nullable()
      .optional()
      .meta({ description: "Send it as `after_id` to continue; null if no task is left" }),
  })
  .meta({
    id: "BulkAnswer",
    description: "A dry run answers `count`, `up_to_id` and `dry_run`; else `count`, `refused` and `next`",
    minProperties: 3,
    dependentRequired: { up_to_id: ["dry_run"], dry_run: ["up_to_id"], refused: ["next"], next: ["refused"] },
  });

/** How many tasks one call acts on at most, and how many of them at once. */
const BULK_AT_MOST = 10_000;
const BULK_PIECE = 500;

export type BulkSetup = { readonly engine: Pick<Producers, "cancel" | "list" | "remove" | "retry"> };

export function createBulkRoute({ engine }: BulkSetup): Route {
  async function countBulk(request: BulkBody) {
    const upTo = request.up_to_id ?? (await lastId());
    let count = 0;
    for await (const tasks of pagesOf(request, upTo)) count += tasks.length;
    return { count, up_to_id: upTo, dry_run: true };
  }

  async function lastId(): Promise<number> {
    const { tasks } = await engine.list({ filter: {}, sort: "-id", after: null, limit: 1, parts: "head" });
    return tasks[0]?.id ?? 0;
  }

  async function doBulk(request: BulkBody) {
    let [count, refused] = [0, 0];
    for await (const tasks of pagesOf(request, request.up_to_id ?? (await lastId()))) {
      const outcomes = await Promise.all(tasks.map((task) => actOn(task, request.action)));
      count += outcomes.filter((isDone) => isDone).length;
      refused += outcomes.filter((isDone) => !isDone).length;
      if (count + refused >= BULK_AT_MOST) return { count, refused, next: tasks.at(-1)?.id ?? null };
    }
    return { count, refused, next: null };
  }

  /** The tasks of the request, in the order of their ids. */
  async function* pagesOf({ filter, after_id }: BulkBody, upTo: number): AsyncGenerator<readonly TaskHead[]> {
    let after: Cursor | null = after_id === undefined ? null : { id: after_id, finishedAt: null };
    do {
      const page: TaskPage<TaskHead> = await engine.list({
        ...{ filter: filterOf(filter), sort: "id", after, limit: BULK_PIECE },
        parts: "head",
      });
      const tasks = page.tasks.filter(({ id }) => id <= upTo);
      if (tasks.length > 0) yield tasks;
      if (tasks.length < page.tasks.length || (page.next?.id ?? 0) > upTo) return;
      after = page.next;
      await yieldToEventLoop();
    } while (after !== null);
  }

  /** False if a rule of the task refuses the action, or if the task was deleted meanwhile. */
  async function actOn({ id }: TaskHead, action: BulkBody["action"]): Promise<boolean> {
    try {
      await (action === "delete" ? engine.remove(id) : engine[action](id, { parts: "light" }));
      return true;
    } catch (error) {
      if (isTaskError(error) && REFUSALS.has(error.code)) return false;
      throw error;
    }
  }

  return {
    id: "actOnTasks",
    summary: "Cancel, retry or delete all tasks that match a filter; `dry_run` counts them",
    access: "manage",
    description: BULK_DESCRIPTION,
    body: jsonBody(BulkBody),
    answers: { 200: { description: "The numbers of tasks", schema: BulkAnswer } },
    problems: [],
    run: async (call) => {
      const request = validate(BulkBody, await readJson(call));
      const answer = request.dry_run === true ? await countBulk(request) : await doBulk(request);
      return call.reply(200, JSON.stringify(answer));
    },
  };
}

const BULK_DESCRIPTION = `The rules apply to each task by itself, and \`refused\` counts the tasks that did not allow the action. A
call acts on up to 10,000 tasks; \`next\` is then the id to send as \`after_id\`. With \`up_to_id\`, which a dry run answers,
tasks that are created later are left out. An empty filter means all tasks, and needs \`"all": true\`.`;

const REFUSALS: ReadonlySet<string> = new Set(["wrong_status", "key_taken", "not_found"]);
