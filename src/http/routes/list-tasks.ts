/** Lists of tasks: page by page, or whole in a stream. */
import { z } from "zod";
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import type { LightTask, Parts } from "../../core/task.ts";
import { ANSWER_BYTES, textSize } from "../../core/text-size.ts";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Cursor, Producers, Sort, TaskFilter } from "../../engine/producers.ts";
import { errorText, type Log } from "../../lib/log.ts";
import {
  presentState,
  presentSummary,
  presentTask,
  SummaryAnswer,
  stateNames,
  TaskAnswer,
  taskNames,
} from "../../wire/task-answer.ts";
import { validate } from "../../wire/validate.ts";
import { replyCompressed, replyStream } from "../compression.ts";
import { prefersOf } from "../conditional-headers.ts";
import { LINK, PREFER_COUNT, PREFERENCE_APPLIED, TOTAL_COUNT } from "../header-schemas.ts";
import { filterOf, formatCursor, ListQuery, parseCursor } from "../list-query.ts";
import { inPieces, jsonList, type Later, otherRequestsFirst, sizeOf } from "../pieces.ts";
import { queryOf, targetOf } from "../request-path.ts";
import type { Call, Route } from "../route.ts";

/** What a page of a whole list holds: half a millisecond of work between two turns of the event loop. */
const STREAM_PAGE = 1_000;
/** An answer with this much text is not filled up by another page of the store, which may hold ANSWER_BYTES. */
const FULL_ENOUGH = ANSWER_BYTES / 2;
/** How long one call may look for matching tasks before it answers with a short page. */
const SEARCH_MS = 200;

/** A task of a list, however much of it was asked for: a choice of three shapes is more than most generators can tell apart. */
const ListedTaskAnswer = TaskAnswer.partial()
  .extend(SummaryAnswer.shape)
  .meta({
    id: "ListedTask",
    description:
      "A task of a list: its first four fields; with `view=state` all but payload and result; with `view=full` all",
    dependentRequired: { version: stateNames, payload: taskNames, result: taskNames },
  });

export type ListSetup = {
  readonly engine: Pick<Producers, "count" | "list"> & Pick<Maintenance, "now">;
  readonly clock: Clock;
  readonly log: Log;
};

/** A list as it is asked for, understood. */
type Wish = {
  readonly filter: TaskFilter;
  readonly sort: Sort;
  readonly after: Cursor | null;
  readonly view: ListQuery["view"];
};

export function createListRoute({ engine, clock, log }: ListSetup): Route {
  async function countHeaders(
    { headers }: Call,
    query: ListQuery,
    { filter, sort }: Wish,
  ): Promise<Record<string, string>> {
    if (headers.prefer === undefined || prefersOf(headers).get("count") !== "exact") return {};
    if (query.q !== undefined)
      throw invalid("/q", "cannot be counted exactly; leave out Prefer: count=exact");
    const ended = sort.endsWith("finished_at") ? { statuses: endedOf(filter) } : {};
    const count = await engine.count({ ...filter, ...ended });
    return { "x-total-count": String(count), "preference-applied": "count=exact" };
  }

  /** One page of the tasks of a list, each with the function that writes it: whole ones for `view=full` alone. */
  async function pageAfter(wish: Wish, after: Cursor | null, limit: number): Promise<Shown> {
    const { filter, sort, view } = wish;
    if (view === "full") {
      const { tasks, next } = await engine.list({ filter, sort, after, limit, parts: "whole" });
      return {
        tasks: tasks.map((task) => shown(task, "whole", () => presentTask(task, engine.now()))),
        next,
      };
    }
    const { tasks, next } = await engine.list({ filter, sort, after, limit, parts: "light" });
    const present = view === "state" ? presentState : presentSummary;
    return { tasks: tasks.map((task) => shown(task, "light", () => present(task, engine.now()))), next };
  }

  async function page(
    call: Call,
    wish: Wish & { readonly limit: number },
    headers: Record<string, string>,
  ): Promise<Response> {
    const startedAt = clock.monotonic();
    const tasks: Later[] = [];
    let { after } = wish;
    for (;;) {
      const found: Shown = await pageAfter(wish, after, wish.limit - tasks.length);
      tasks.push(...found.tasks);
      after = found.next;
      if (after === null || tasks.length === wish.limit || sizeOf(tasks) >= FULL_ENOUGH) break;
      if (clock.monotonic() - startedAt > SEARCH_MS) break;
      await otherRequestsFirst();
    }
    const link =
      after === null
        ? {}
        : { link: `<${nextPath(call.request, formatCursor(wish.sort, after))}>; rel="next"` };
    return replyCompressed(call, await jsonList("", tasks, ""), { ...headers, ...link });
  }

  /** One page at once where that is all; else a stream that holds one page in memory, however slow its reader. */
  async function wholeList(call: Call, wish: Wish, headers: Record<string, string>): Promise<Response> {
    const first = await pageAfter(wish, wish.after, STREAM_PAGE);
    if (first.next === null) return replyCompressed(call, await jsonList("", first.tasks, ""), headers);
    const next = (after: Cursor): Promise<Shown> =>
      pageAfter(wish, after, STREAM_PAGE).catch((error: unknown) => {
        log.error("list_cut", { request_id: call.requestId, error: errorText(error) });
        throw error;
      });
    return replyStream(call, listText(first, next), headers);
  }

  return {
    id: "listTasks",
    summary: "List tasks; whole without `limit`, streamed and no snapshot",
    access: "read",
    query: ListQuery,
    requestHeaders: { Prefer: PREFER_COUNT },
    answers: {
      200: {
        description:
          "Tasks, id ascending unless `sort` says otherwise; whole ones with `view=full`, without payload and result with `view=state`",
        schema: z.array(ListedTaskAnswer),
        headers: {
          Link: LINK,
          "X-Total-Count": TOTAL_COUNT,
          "Preference-Applied": PREFERENCE_APPLIED,
        },
      },
    },
    problems: [],
    run: async (call) => {
      const query = validate(ListQuery, queryOf(call.request, ["status", "type", "tag"]));
      const wish = wishOf(query);
      const headers = await countHeaders(call, query, wish);
      return query.limit === undefined
        ? wholeList(call, wish, headers)
        : page(call, { ...wish, limit: query.limit }, headers);
    },
  };
}

const endedOf = ({ statuses }: TaskFilter): ("done" | "failed" | "cancelled")[] =>
  (["done", "failed", "cancelled"] as const).filter((status) => statuses?.includes(status) ?? true);

function wishOf(query: ListQuery): Wish {
  const { cursor, sort = "id", view } = query;
  const after = cursor === undefined ? null : parseCursor(sort, cursor);
  if (cursor !== undefined && after === null) {
    throw invalid("/cursor", "must be a cursor from a Link header of this list, in this order");
  }
  return { filter: filterOf(query), sort, after, view };
}

const invalid = (pointer: string, detail: string): TaskError =>
  new TaskError("invalid", `${pointer} ${detail}`, [{ pointer, detail }]);

/** A page of tasks whose JSON is yet to be made. */
type Shown = { readonly tasks: readonly Later[]; readonly next: Cursor | null };

const shown = (task: LightTask, parts: Parts, text: () => string): Later => ({
  size: textSize(task, parts),
  text,
});

/** A whole list as JSON, in texts of bounded size; one page is in memory. */
async function* listText(first: Shown, next: (after: Cursor) => Promise<Shown>): AsyncGenerator<string> {
  let separator = "[";
  for (let page: Shown | null = first; page !== null; ) {
    for (const piece of inPieces(page.tasks)) {
      yield separator + piece.map((task) => task.text()).join();
      separator = ",";
      await otherRequestsFirst();
    }
    const after: Cursor | null = page.next;
    page = after === null ? null : await otherRequestsFirst().then(() => next(after));
  }
  yield separator === "[" ? "[]" : "]";
}

/** The same list after the cursor, as a path, for no server knows all its names. */
function nextPath(request: Request, cursor: string): string {
  const { path, query } = targetOf(request.url);
  const parameters = new URLSearchParams(query);
  parameters.set("cursor", cursor);
  return `${path}?${parameters}`;
}
