/** One action on all tasks that a filter takes. */
import { isTaskError } from "../../core/error.ts";
import type { TaskHead } from "../../core/task.ts";
import type { Cursor, Engine, TaskPage } from "../../engine/engine.ts";
import { validate } from "../../wire/validate.ts";
import { BulkAnswer } from "../answer-schemas.ts";
import { jsonBody, readJson } from "../body.ts";
import { BulkBody, filterOf } from "../list-query.ts";
import { otherRequestsFirst } from "../pieces.ts";
import type { Route } from "../route.ts";

/** What one call of the bulk actions does at most, and how many of them at once. */
const BULK_AT_MOST = 10_000;
const BULK_PIECE = 500;

export type BulkSetup = { readonly engine: Pick<Engine, "cancel" | "list" | "remove" | "retry"> };

export function createBulkRoute({ engine }: BulkSetup): Route {
  async function countBulk(wish: BulkBody) {
    const upTo = wish.up_to_id ?? (await lastId());
    let count = 0;
    for await (const tasks of pagesOf(wish, upTo)) count += tasks.length;
    return { count, up_to_id: upTo, dry_run: true };
  }

  async function lastId(): Promise<number> {
    const { tasks } = await engine.list({ filter: {}, sort: "-id", after: null, limit: 1, parts: "head" });
    return tasks[0]?.id ?? 0;
  }

  async function doBulk(wish: BulkBody) {
    let [count, refused] = [0, 0];
    for await (const tasks of pagesOf(wish, wish.up_to_id ?? (await lastId()))) {
      const outcomes = await Promise.all(tasks.map((task) => actOn(task, wish.action)));
      count += outcomes.filter((isDone) => isDone).length;
      refused += outcomes.filter((isDone) => !isDone).length;
      if (count + refused >= BULK_AT_MOST) return { count, refused, next: tasks.at(-1)?.id ?? null };
    }
    return { count, refused, next: null };
  }

  /** The tasks that the wish is about, in the order of their ids. */
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
      await otherRequestsFirst();
    } while (after !== null);
  }

  /** False where the task's own rule refuses, or it is gone meanwhile. */
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
    summary: "Cancel, retry or delete all tasks that a filter takes; `dry_run` counts them",
    access: "manage",
    description: BULK_DESCRIPTION,
    body: jsonBody(BulkBody),
    answers: { 200: { description: "What was done, or would be", schema: BulkAnswer } },
    problems: [],
    run: async (call) => {
      const wish = validate(BulkBody, await readJson(call));
      const answer = wish.dry_run === true ? await countBulk(wish) : await doBulk(wish);
      return call.reply(200, JSON.stringify(answer));
    },
  };
}

const BULK_DESCRIPTION = `Each task by its own rule: what a rule refuses is counted in \`refused\`. A call does up to
10,000; \`next\` is then the id to send as \`after_id\`. With \`up_to_id\`, which a dry run answers, tasks that came later
are left alone. An empty filter means every task, and needs \`"all": true\`.`;

const REFUSALS: ReadonlySet<string> = new Set(["wrong_status", "key_taken", "not_found"]);
