/** Reads, changes and deletes one task, and reads its log. */

import { z } from "zod";
import { parseDurationMs } from "../../core/duration.ts";
import type { LogLine, Task, TaskId } from "../../core/task.ts";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Once, Producers } from "../../engine/producers.ts";
import type { Watchers } from "../../engine/watchers.ts";
import type { Log } from "../../lib/log.ts";
import { withRawPayloads } from "../../wire/raw-json.ts";
import { DURATION_PATTERN, LogLevelName, taskId, timeAnswer } from "../../wire/shared-schemas.ts";
import { presentTask, TaskAnswer, timestamp } from "../../wire/task-answer.ts";
import { PatchBody } from "../../wire/task-input.ts";
import { validate } from "../../wire/validate.ts";
import { jsonBody, readBody } from "../body.ts";
import { replyCompressed } from "../compression.ts";
import { callKeyOf, etagOf, ifMatch, isKnown } from "../conditional-headers.ts";
import { ETAG, IDEMPOTENT_REPLAYED, IF_NONE_MATCH } from "../header-schemas.ts";
import { wholeNumber } from "../query-schemas.ts";
import { parseId, queryOf } from "../request-path.ts";
import type { Route } from "../route.ts";
import { REPLAYED, STEP_HEADERS, STEPPED, stepOnce } from "../step-once.ts";
import { ASKED_WAIT_MS, LONGEST_WAIT_MS } from "../waits.ts";

/** Other parameters are ignored: clients of the first version may send any. */
const TaskQuery = z.object({
  wait: z
    .string("must be given once")
    .transform((text, context) => {
      const ms = parseDurationMs(text);
      if (ms !== null && ms >= 0 && ms <= ASKED_WAIT_MS) return Math.min(ms, LONGEST_WAIT_MS);
      context.addIssue({ code: "custom", message: 'must be a duration from "0s" to "60s"' });
      return z.NEVER;
    })
    .optional()
    .meta({
      description:
        "Answer when the task has ended, or after this time with its present state: a Go duration up to 60s; the server waits 45s at most",
      pattern: DURATION_PATTERN,
      examples: ["30s"],
    }),
});

const LogQuery = z.strictObject({
  after: wholeNumber(0, 2_147_483_647)
    .optional()
    .meta({ description: "The number of the last line that the client has" }),
});

export const LogAnswer = z
  .array(
    z
      .object({
        n: z.int().min(1).meta({ description: "The number of the line, from 1" }),
        at: timeAnswer,
        level: LogLevelName,
        message: z.string().meta({ description: "The text of the line" }),
      })
      .meta({ id: "LogLine", description: "A line of a task's log" }),
  )
  .meta({ description: "Log lines, oldest first" });

const UpdatedAnswer = z
  .object({
    message: z.string().meta({ description: "What was done", examples: ["Task updated successfully"] }),
    task_id: taskId,
  })
  .meta({ id: "EditAnswer", description: "The task was changed" });

export type TaskSetup = {
  readonly engine: Pick<Producers, "edit" | "get" | "once" | "readLog" | "remove"> &
    Pick<Watchers, "wait"> &
    Pick<Maintenance, "now">;
  readonly log: Log;
};

export function createTaskRoutes({ engine, log }: TaskSetup) {
  const get: Route = {
    id: "getTask",
    summary: "Read a task; with `wait`, wait for its end",
    access: "read",
    query: TaskQuery,
    requestHeaders: { "If-None-Match": IF_NONE_MATCH },
    answers: {
      200: { description: "The task", schema: TaskAnswer, headers: { ETag: ETAG } },
      304: { description: "The client has the current state already", headers: { ETag: ETAG } },
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

  /** Most requests have no query: nothing is parsed for them. */
  function found(request: Request, id: TaskId): Promise<Task> {
    if (!request.url.includes("?")) return engine.get(id);
    const { wait } = validate(TaskQuery, queryOf(request, []));
    return wait === undefined ? engine.get(id) : engine.wait(id, wait, request.signal);
  }

  const edit: Route = {
    id: "editTask",
    summary:
      "Change a task: name, description, tags and labels in any status, the other fields while it is pending",
    access: "manage",
    body: jsonBody(PatchBody),
    requestHeaders: STEP_HEADERS,
    answers: { 200: { description: "The task was changed", schema: UpdatedAnswer, headers: STEPPED } },
    problems: ["not_found", "wrong_status", "version_mismatch", "idempotency_mismatch"],
    run: async (call) => {
      const { headers, params, reply } = call;
      const id = parseId(params.id ?? "");
      const body = await readBody(call);
      const patch = validate(PatchBody, withRawPayloads(body));
      const condition = ifMatch(headers);
      const edited = await stepOnce<Pick<Task, "id" | "version" | "status">>(
        engine,
        callKeyOf(headers, `edit ${id}`, body.text),
        (once) => engine.edit(id, patch, { condition, once }),
        (earlier) => ({ id, ...earlier }),
      );
      return reply(200, presentUpdated(id), edited.headers);
    },
  };

  const remove: Route = {
    id: "deleteTask",
    summary: "Delete a task; running work is aborted and its result is dropped",
    access: "manage",
    requestHeaders: STEP_HEADERS,
    answers: {
      204: { description: "The task was deleted", headers: { "Idempotent-Replayed": IDEMPOTENT_REPLAYED } },
    },
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

  const readLog: Route = {
    id: "readLog",
    summary: "Read the log lines of a task, at most the last 1,000",
    access: "read",
    query: LogQuery,
    answers: { 200: { description: "The lines after `after`, oldest first", schema: LogAnswer } },
    problems: ["not_found"],
    run: async (call) => {
      const { request, params } = call;
      const id = parseId(params.id ?? "");
      const { after = 0 } = validate(LogQuery, queryOf(request, []));
      return replyCompressed(call, presentLog(await engine.readLog(id, after)));
    },
  };

  return { get, edit, remove, readLog };
}

const presentLog = (lines: readonly LogLine[]): string =>
  JSON.stringify(lines.map(({ n, at, level, message }) => ({ n, at: timestamp(at), level, message })));

const presentUpdated = (id: TaskId): string => `{"message":"Task updated successfully","task_id":${id}}`;
