/** One task: made, asked for, changed, stopped, tried again, deleted. */
import { isTaskError } from "../core/error.ts";
import { isEnded, type Status, type Task, type TaskId } from "../core/task.ts";
import type { CallKey, CarriedOut, Creation, Engine, Once } from "../engine/engine.ts";
import type { Log } from "../lib/log.ts";
import type { JsonBody } from "../wire/json-body.ts";
import { withRawPayloads } from "../wire/raw-json.ts";
import { type SubmissionKey, submit } from "../wire/submission.ts";
import { CreateBody, PatchBody } from "../wire/task-input.ts";
import { validate } from "../wire/validate.ts";
import { CreateAnswer, LogAnswer, TaskAnswer, UpdatedAnswer } from "./answer-schemas.ts";
import { EMPTY_BODY, jsonBody, readBody, readEmptyBody } from "./body.ts";
import { replyCompressed } from "./compression.ts";
import { callKeyOf, etagOf, idempotencyKeyOf, ifMatch, isKnown, waitOf } from "./conditions.ts";
import {
  ETAG,
  IDEMPOTENCY_KEY,
  IDEMPOTENT_REPLAYED,
  IF_MATCH,
  IF_NONE_MATCH,
  LOCATION,
  PREFER_WAIT,
  PREFERENCE_APPLIED,
  STEP_KEY,
} from "./header-schemas.ts";
import { LogQuery, NO_BODY } from "./list-query.ts";
import type { Call, Route } from "./route.ts";
import {
  parseId,
  presentCreated,
  presentLog,
  presentManyCreated,
  presentTask,
  presentUpdated,
  queryOf,
  TaskQuery,
} from "./wire.ts";

export type TasksSetup = { readonly engine: Engine; readonly log: Log };

const STEP_HEADERS = { "If-Match": IF_MATCH, "Idempotency-Key": STEP_KEY };
const STEPPED = { ETag: ETAG, "Idempotent-Replayed": IDEMPOTENT_REPLAYED };

export function createTaskRoutes({ engine, log }: TasksSetup) {
  const create: Route = {
    id: "createTask",
    summary: "Submit a task, or an array of up to 1,000: all or none",
    access: "submit",
    body: jsonBody(CreateBody),
    requestHeaders: { "Idempotency-Key": IDEMPOTENCY_KEY, Prefer: PREFER_WAIT },
    answers: {
      200: {
        description: "The task has ended while it was waited for; or a live task holds the key already",
        schema: CreateAnswer,
        headers: { ...CREATE_HEADERS, "Preference-Applied": PREFERENCE_APPLIED },
      },
      201: {
        description: "The task is pending, or all of them are; a worker will take it",
        schema: CreateAnswer,
        headers: CREATE_HEADERS,
      },
      202: {
        description: "Created, but it has not ended in the time that was waited",
        schema: CreateAnswer,
        headers: { ...CREATE_HEADERS, "Preference-Applied": PREFERENCE_APPLIED },
      },
    },
    problems: ["idempotency_mismatch"],
    // Chained, not awaited: each async function would cost the hottest write a promise and a resumption more.
    run: (call) => readBody(call).then((body) => createFrom(body, call)),
  };

  function createFrom(body: JsonBody, call: Call): Promise<Response> {
    return submit(engine, body, keyOf(call)).then((creation) =>
      Array.isArray(body.value) ? createdMany(creation, call) : created(creation, call),
    );
  }

  function keyOf({ headers }: Call): SubmissionKey | null {
    const key = idempotencyKeyOf(headers);
    return key === null ? null : { scope: "", key };
  }

  function created({ tasks, repeated }: Creation, call: Call): Response | Promise<Response> {
    const { id, existing } = tasks[0] ?? { id: 0, existing: false }; // one for each spec
    if (log.isDebug) log.debug("task_created", { request_id: call.requestId, task_id: id });
    const headers = { location: `/api/task/${id}`, ...(repeated ? REPLAYED : {}) };
    const wait = waitOf(call.headers);
    if (wait !== null) return waited(id, { call, seconds: wait, headers, existing });
    return call.reply(existing ? 200 : 201, presentCreated(id, existing), headers);
  }

  type Waited = {
    readonly call: Call;
    readonly seconds: number;
    readonly headers: Record<string, string>;
    readonly existing: boolean;
  };

  /** The task is created: where it is deleted during the wait, or the store fails, the answer must not be a refusal. */
  async function waited(id: TaskId, { call, seconds, headers, existing }: Waited): Promise<Response> {
    const task = await engine.wait(id, seconds * 1_000, call.request.signal).catch(nullIfRefused);
    const applied = { ...headers, "preference-applied": `wait=${seconds}` };
    if (task === null || !isEnded(task)) return call.reply(202, presentCreated(id, existing), applied);
    return call.reply(200, presentTask(task, engine.now()), applied);
  }

  function createdMany({ tasks, repeated }: Creation, { reply, requestId }: Call): Response {
    if (log.isDebug) log.debug("tasks_created", { request_id: requestId, tasks: tasks.length });
    return reply(201, presentManyCreated(tasks.map(({ id }) => id)), repeated ? REPLAYED : {});
  }

  const get: Route = {
    id: "getTask",
    summary: "Ask for one task; with `wait`, for its end",
    access: "read",
    query: TaskQuery,
    requestHeaders: { "If-None-Match": IF_NONE_MATCH },
    answers: {
      200: { description: "The task", schema: TaskAnswer, headers: { ETag: ETAG } },
      304: { description: "It is what the client knows", headers: { ETag: ETAG } },
    },
    problems: ["not_found"],
    run: (call) => {
      const { request, headers, params, reply } = call;
      const id = parseId(params.id ?? "");
      return found(request, id).then((task) => {
        const etag = { etag: etagOf(task) };
        return isKnown(task, headers)
          ? reply(304, null, etag)
          : replyCompressed(call, presentTask(task, engine.now()), etag);
      });
    },
  };

  /** Most requests have no query, and nothing is parsed for them. */
  function found(request: Request, id: TaskId): Promise<Task> {
    if (!request.url.includes("?")) return engine.get(id);
    const { wait } = validate(TaskQuery, queryOf(request, []));
    return wait === undefined ? engine.get(id) : engine.wait(id, wait, request.signal);
  }

  type Stepped<T> = { readonly task: T; readonly status: Status; readonly headers: Record<string, string> };

  /** Carries out a step; under a key only once. If an earlier call carried it out, `look` reads the task for the answer. */
  async function stepOnce<T extends Pick<Task, "id" | "version" | "status">>(
    key: CallKey | undefined,
    step: (once?: Once) => Promise<T>,
    look: (earlier: NonNullable<CarriedOut>) => T | Promise<T>,
  ): Promise<Stepped<T>> {
    const done = key === undefined ? { first: await step() } : await engine.once(key, step);
    if ("first" in done) {
      const { first } = done;
      return { task: first, status: first.status, headers: { etag: etagOf(first) } };
    }
    const { earlier } = done;
    if (earlier === null) throw new Error("a deletion is noted under another name than a step");
    const task = await look(earlier);
    return { task, status: earlier.status, headers: { etag: etagOf(task), ...REPLAYED } };
  }

  const edit: Route = {
    id: "editTask",
    summary: "Change a task: name, description and tags in any status, the rest while it is pending",
    access: "manage",
    body: jsonBody(PatchBody),
    requestHeaders: STEP_HEADERS,
    answers: { 200: { description: "Changed", schema: UpdatedAnswer, headers: STEPPED } },
    problems: ["not_found", "wrong_status", "version_mismatch", "idempotency_mismatch"],
    run: async (call) => {
      const { headers, params, reply } = call;
      const id = parseId(params.id ?? "");
      const body = await readBody(call);
      const patch = validate(PatchBody, withRawPayloads(body));
      const condition = ifMatch(headers);
      const edited = await stepOnce<Pick<Task, "id" | "version" | "status">>(
        callKeyOf(headers, `edit ${id}`, body.text),
        (once) => engine.edit(id, patch, { condition, once }),
        (earlier) => ({ id, ...earlier }),
      );
      return reply(200, presentUpdated(id), edited.headers);
    },
  };

  const remove: Route = {
    id: "deleteTask",
    summary: "Delete a task; running work is aborted and its result goes nowhere",
    access: "manage",
    requestHeaders: STEP_HEADERS,
    answers: { 204: { description: "Deleted", headers: { "Idempotent-Replayed": IDEMPOTENT_REPLAYED } } },
    problems: ["not_found", "version_mismatch"],
    run: async ({ headers, params, requestId, reply }) => {
      const id = parseId(params.id ?? "");
      const condition = ifMatch(headers);
      const key = callKeyOf(headers, `delete ${id}`);
      const deleting = (once?: Once): Promise<void> => engine.remove(id, { condition, once });
      const done = key === undefined ? { first: await deleting() } : await engine.once(key, deleting);
      if (log.isDebug) log.debug("task_deleted", { request_id: requestId, task_id: id });
      return reply(204, null, "first" in done ? {} : REPLAYED);
    },
  };

  const cancel: Route = {
    id: "cancelTask",
    summary: "Cancel a task: a pending one at once, a running one by asking its worker",
    access: "manage",
    description: NO_BODY,
    body: EMPTY_BODY,
    requestHeaders: STEP_HEADERS,
    answers: {
      200: { description: "It is cancelled", schema: TaskAnswer, headers: STEPPED },
      202: {
        description: "Its worker is asked to stop, and has 30 seconds for it",
        schema: TaskAnswer,
        headers: STEPPED,
      },
    },
    problems: ["not_found", "wrong_status", "version_mismatch"],
    run: async (call) => {
      const { headers, params, reply } = call;
      const id = parseId(params.id ?? "");
      await readEmptyBody(call);
      const condition = ifMatch(headers);
      const cancelled = await stepOnce(
        callKeyOf(headers, `cancel ${id}`),
        (once) => engine.cancel(id, { condition, once }),
        () => engine.get(id),
      );
      const status = cancelled.status === "running" ? 202 : 200;
      return reply(status, presentTask(cancelled.task, engine.now()), cancelled.headers);
    },
  };

  const retry: Route = {
    id: "retryTask",
    summary: "Make an ended task pending again, its attempts counted anew and its history kept",
    access: "manage",
    description: NO_BODY,
    body: EMPTY_BODY,
    requestHeaders: STEP_HEADERS,
    answers: { 200: { description: "It is pending", schema: TaskAnswer, headers: STEPPED } },
    problems: ["not_found", "wrong_status", "key_taken", "version_mismatch"],
    run: async (call) => {
      const { headers, params, reply } = call;
      const id = parseId(params.id ?? "");
      await readEmptyBody(call);
      const condition = ifMatch(headers);
      const { task, headers: said } = await stepOnce(
        callKeyOf(headers, `retry ${id}`),
        (once) => engine.retry(id, { condition, once }),
        () => engine.get(id),
      );
      return reply(200, presentTask(task, engine.now()), said);
    },
  };

  const readLog: Route = {
    id: "readLog",
    summary: "Read a task's log lines, the last 1,000 of them",
    access: "read",
    query: LogQuery,
    answers: { 200: { description: "The lines behind `after`, oldest first", schema: LogAnswer } },
    problems: ["not_found"],
    run: async (call) => {
      const { request, params } = call;
      const id = parseId(params.id ?? "");
      const { after = 0 } = validate(LogQuery, queryOf(request, []));
      return replyCompressed(call, presentLog(await engine.readLog(id, after)));
    },
  };

  return { create, get, edit, remove, cancel, retry, readLog };
}

const CREATE_HEADERS = { Location: LOCATION, "Idempotent-Replayed": IDEMPOTENT_REPLAYED };
const REPLAYED = { "idempotent-replayed": "true" };

function nullIfRefused(error: unknown): null {
  if (isTaskError(error)) return null;
  throw error;
}
