/** Lists of tasks: a page, or the whole list in a stream. */
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
import { inChunks, jsonList, type LazyText, sizeOf, yieldToEventLoop } from "../json-list.ts";
import { filterOf, formatCursor, ListQuery, parseCursor } from "../list-query.ts";
import { queryOf, targetOf } from "../request-path.ts";
import type { Call, Route } from "../route.ts";

/** The size of a page of a whole list: half a millisecond of work in one turn of the event loop. */
const STREAM_PAGE = 1_000;
/** An answer of this length gets no further page of the store, which may have ANSWER_BYTES. */
const FULL_ENOUGH = ANSWER_BYTES / 2;
/** After this time a call answers with a page that may be short. */
const SEARCH_MS = 200;

/** One schema for all views, because most generators of clients do not support a choice of three schemas. */
const ListedTaskAnswer = TaskAnswer.partial()
  .extend(SummaryAnswer.shape)
  .meta({
    id: "ListedTask",
    description:
      "A task of a list: its first four fields; with `view=state` all fields but payload and result; with `view=full` all fields",
    dependentRequired: { version: stateNames, payload: taskNames, result: taskNames },
  });

export type ListSetup = {
  readonly engine: Pick<Producers, "count" | "list"> & Pick<Maintenance, "now">;
  readonly clock: Clock;
  readonly log: Log;
};

/** A list that a client asks for. */
type Listing = {
  readonly filter: TaskFilter;
  readonly sort: Sort;
  readonly after: Cursor | null;
  readonly view: ListQuery["view"];
};

export function createListRoute({ engine, clock, log }: ListSetup): Route {
  async function countHeaders(
    { headers }: Call,
    query: ListQuery,
    { filter, sort }: Listing,
  ): Promise<Record<string, string>> {
    if (headers.prefer === undefined || prefersOf(headers).get("count") !== "exact") return {};
    if (query.q !== undefined)
      throw invalid("/q", "cannot be counted exactly; leave out Prefer: count=exact");
    const ended = sort.endsWith("finished_at") ? { statuses: endedOf(filter) } : {};
    const count = await engine.count({ ...filter, ...ended });
    return { "x-total-count": String(count), "preference-applied": "count=exact" };
  }

  /** One page of tasks, each with the function that presents it. Only `view=full` reads whole tasks. */
  async function pageAfter(listing: Listing, after: Cursor | null, limit: number): Promise<Shown> {
    const { filter, sort, view } = listing;
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
    listing: Listing & { readonly limit: number },
    headers: Record<string, string>,
  ): Promise<Response> {
    const startedAt = clock.monotonic();
    const tasks: LazyText[] = [];
    let { after } = listing;
    for (;;) {
      const found: Shown = await pageAfter(listing, after, listing.limit - tasks.length);
      tasks.push(...found.tasks);
      after = found.next;
      if (after === null || tasks.length === listing.limit || sizeOf(tasks) >= FULL_ENOUGH) break;
      if (clock.monotonic() - startedAt > SEARCH_MS) break;
      await yieldToEventLoop();
    }
    const link =
      after === null
        ? {}
        : { link: `<${nextPath(call.request, formatCursor(listing.sort, after))}>; rel="next"` };
    return replyCompressed(call, await jsonList("", tasks, ""), { ...headers, ...link });
  }

  /**
   * One answer if the list has a single page; else a stream, which keeps one page in memory however slow the
   * client is.
   */
  async function wholeList(call: Call, listing: Listing, headers: Record<string, string>): Promise<Response> {
    const first = await pageAfter(listing, listing.after, STREAM_PAGE);
    if (first.next === null) return replyCompressed(call, await jsonList("", first.tasks, ""), headers);
    const next = (after: Cursor): Promise<Shown> =>
      pageAfter(listing, after, STREAM_PAGE).catch((error: unknown) => {
        log.error("list_cut", { request_id: call.requestId, error: errorText(error) });
        throw error;
      });
    return replyStream(call, listText(first, next), headers);
  }

  return {
    id: "listTasks",
    summary: "List tasks; without `limit` all of them, streamed, and not as a snapshot",
    access: "read",
    query: ListQuery,
    requestHeaders: { Prefer: PREFER_COUNT },
    answers: {
      200: {
        description:
          "Tasks by ascending id unless `sort` is given; whole tasks with `view=full`, without payload and result with `view=state`",
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
      const query = validate(ListQuery, queryOf(call.request, ["status", "type", "tag", "label"]));
      const listing = listingOf(query);
      const headers = await countHeaders(call, query, listing);
      return query.limit === undefined
        ? wholeList(call, listing, headers)
        : page(call, { ...listing, limit: query.limit }, headers);
    },
  };
}

const endedOf = ({ statuses }: TaskFilter): ("done" | "failed" | "cancelled")[] =>
  (["done", "failed", "cancelled"] as const).filter((status) => statuses?.includes(status) ?? true);

function listingOf(query: ListQuery): Listing {
  const { cursor, sort = "id", view } = query;
  const after = cursor === undefined ? null : parseCursor(sort, cursor);
  if (cursor !== undefined && after === null) {
    throw invalid("/cursor", "must be a cursor from a Link header of this list, in this order");
  }
  return { filter: filterOf(query), sort, after, view };
}

const invalid = (pointer: string, detail: string): TaskError =>
  new TaskError("invalid", `${pointer} ${detail}`, [{ pointer, detail }]);

/** A page of tasks whose JSON is not generated yet. */
type Shown = { readonly tasks: readonly LazyText[]; readonly next: Cursor | null };

const shown = (task: LightTask, parts: Parts, text: () => string): LazyText => ({
  size: textSize(task, parts),
  text,
});

/** A whole list as JSON, in texts of limited length. One page is in memory at a time. */
async function* listText(first: Shown, next: (after: Cursor) => Promise<Shown>): AsyncGenerator<string> {
  let separator = "[";
  for (let page: Shown | null = first; page !== null; ) {
    for (const piece of inChunks(page.tasks)) {
      yield separator + piece.map((task) => task.text()).join();
      separator = ",";
      await yieldToEventLoop();
    }
    const after: Cursor | null = page.next;
    page = after === null ? null : await yieldToEventLoop().then(() => next(after));
  }
  yield separator === "[" ? "[]" : "]";
}

/**
 * The same list after the cursor. A path, because the server does not know the address that the client used.
 */
function nextPath(request: Request, cursor: string): string {
  const { path, query } = targetOf(request.url);
  const parameters = new URLSearchParams(query);
  parameters.set("cursor", cursor);
  return `${path}?${parameters}`;
}
