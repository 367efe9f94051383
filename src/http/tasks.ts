/** The five verbs. */
import { z } from "zod";
import type { Clock } from "../core/clock.ts";
import type { Task, TaskId } from "../core/task.ts";
import type { Cursor, Engine, TaskPage } from "../engine/engine.ts";
import { errorText, type Log } from "../lib/log.ts";
import { readJson } from "./body.ts";
import type { Call, Route } from "./route.ts";
import { targetOf } from "./target.ts";
import {
  CreateBody,
  CreatedAnswer,
  formatCursor,
  ListQuery,
  PatchBody,
  parseId,
  presentCreated,
  presentSummary,
  presentTask,
  presentUpdated,
  queryOf,
  SummaryAnswer,
  TaskAnswer,
  TaskQuery,
  UpdatedAnswer,
  validate,
} from "./wire.ts";

/** What a page of a whole list holds: half a millisecond of work between two turns of the event loop. */
const STREAM_PAGE = 1_000;
/** How long one call may look for matching tasks before it answers with a short page. */
const SEARCH_MS = 200;

export type TasksSetup = { readonly engine: Engine; readonly clock: Clock; readonly log: Log };

export function createTaskRoutes({ engine, clock, log }: TasksSetup) {
  const create: Route = {
    id: "createTask",
    summary: "Submit a task",
    body: CreateBody,
    answers: {
      201: {
        description: "The task is pending; a worker will take it",
        schema: CreatedAnswer,
        headers: { Location: "The path of the task" },
      },
    },
    problems: ["malformed_body", "body_too_large", "unsupported_media_type"],
    // Chained, not awaited: each async function would cost the hottest write a promise and a resumption more.
    run: ({ request, headers, requestId, reply }) =>
      readJson(request, headers)
        .then((value) => engine.create([validate(CreateBody, value)]))
        .then(({ tasks }) => {
          const id = tasks[0]?.id ?? 0; // one for each spec
          if (log.isDebug) log.debug("task_created", { request_id: requestId, task_id: id });
          return reply(201, presentCreated(id), { location: `/api/task/${id}` });
        }),
  };

  const get: Route = {
    id: "getTask",
    summary: "Ask for one task; with `wait`, for its end",
    query: TaskQuery,
    answers: { 200: { description: "The task", schema: TaskAnswer } },
    problems: ["not_found"],
    run: ({ request, params, reply }) => {
      const id = parseId(params.id ?? "");
      return found(request, id).then((task) => reply(200, presentTask(task, engine.now())));
    },
  };

  /** Most requests have no query, and nothing is parsed for them. */
  function found(request: Request, id: TaskId): Promise<Task> {
    if (!request.url.includes("?")) return engine.get(id);
    const { wait } = validate(TaskQuery, queryOf(request, []));
    return wait === undefined ? engine.get(id) : engine.wait(id, wait, request.signal);
  }

  const edit: Route = {
    id: "editTask",
    summary: "Change a task's name or description, in any status",
    body: PatchBody,
    answers: { 200: { description: "Changed", schema: UpdatedAnswer } },
    problems: ["not_found", "malformed_body", "body_too_large", "unsupported_media_type"],
    run: async ({ request, headers, params, reply }) => {
      const id = parseId(params.id ?? "");
      await engine.edit(id, validate(PatchBody, await readJson(request, headers)));
      return reply(200, presentUpdated(id));
    },
  };

  const remove: Route = {
    id: "deleteTask",
    summary: "Delete a task; running work is aborted and its result goes nowhere",
    answers: { 204: { description: "Deleted" } },
    problems: ["not_found"],
    run: async ({ params, requestId, reply }) => {
      const id = parseId(params.id ?? "");
      await engine.remove(id);
      if (log.isDebug) log.debug("task_deleted", { request_id: requestId, task_id: id });
      return reply(204, null);
    },
  };

  const list: Route = {
    id: "listTasks",
    summary: "List tasks by id; whole without `limit`, streamed and no snapshot",
    query: ListQuery,
    answers: {
      200: {
        description: "Tasks, id ascending; whole ones with `view=full`",
        schema: z.array(z.union([SummaryAnswer, TaskAnswer])),
        headers: { Link: 'With `limit`, while there may be more: the next page, `rel="next"`' },
      },
    },
    problems: [],
    run: async (call) => {
      const query = validate(ListQuery, queryOf(call.request, ["status"]));
      return query.limit === undefined ? wholeList(call, query) : page(call, query, query.limit);
    },
  };

  // ---- lists

  const pageAfter = (query: ListQuery, after: Cursor | null, limit: number): Promise<TaskPage> =>
    engine.list({
      filter: query.status === undefined ? {} : { statuses: query.status },
      sort: "id",
      after,
      limit,
    });

  const presenter = (query: ListQuery) => {
    if (query.view !== "full") return presentSummary;
    return (task: Task) => presentTask(task, engine.now());
  };

  async function page({ request, reply }: Call, query: ListQuery, limit: number): Promise<Response> {
    const startedAt = clock.monotonic();
    const tasks: Task[] = [];
    let after = query.cursor ?? null;
    for (;;) {
      const found: TaskPage = await pageAfter(query, after, limit - tasks.length);
      tasks.push(...found.tasks);
      after = found.next;
      if (after === null || tasks.length === limit || clock.monotonic() - startedAt > SEARCH_MS) break;
      await otherRequestsFirst();
    }
    const link = after === null ? undefined : { link: `<${nextPath(request, after)}>; rel="next"` };
    return reply(200, `[${tasks.map(presenter(query)).join()}]`, link);
  }

  /** One page at once where that is all; else a stream that holds one page in memory, however slow its reader. */
  async function wholeList({ requestId, reply }: Call, query: ListQuery): Promise<Response> {
    const present = presenter(query);
    const first = await pageAfter(query, query.cursor ?? null, STREAM_PAGE);
    if (first.next === null) return reply(200, `[${first.tasks.map(present).join()}]`);
    const next = (after: Cursor): Promise<TaskPage> =>
      pageAfter(query, after, STREAM_PAGE).catch((error: unknown) => {
        log.error("list_cut", { request_id: requestId, error: errorText(error) });
        throw error;
      });
    return reply(200, streamPages(first, next, present));
  }

  return { create, get, edit, remove, list };
}

/** A store that fails midway errors the stream: the connection is cut, never closed as if the list were whole. */
function streamPages(
  first: TaskPage,
  next: (after: Cursor) => Promise<TaskPage>,
  present: (task: Task) => string,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let page: TaskPage | null = first;
  let separator = "[";
  return new ReadableStream(
    {
      pull: async (controller) => {
        let body = "";
        while (page !== null && body === "") {
          const { tasks, next: after }: TaskPage = page;
          if (tasks.length > 0) body = separator + tasks.map(present).join();
          page = after === null ? null : await otherRequestsFirst().then(() => next(after));
        }
        if (body !== "") separator = ",";
        if (page !== null) return controller.enqueue(encoder.encode(body));
        controller.enqueue(encoder.encode(separator === "[" ? "[]" : `${body}]`));
        controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

const otherRequestsFirst = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The same list after the cursor, as a path, for no server knows all its names. */
function nextPath(request: Request, after: Cursor): string {
  const { path, query } = targetOf(request.url);
  const parameters = new URLSearchParams(query);
  parameters.set("cursor", formatCursor(after));
  return `${path}?${parameters}`;
}
