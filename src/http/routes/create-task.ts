/** Creates a task, or an array of tasks. */
import { z } from "zod";
import { isTaskError } from "../../core/error.ts";
import { isEnded, type TaskId } from "../../core/task.ts";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Creation, Producers } from "../../engine/producers.ts";
import type { Watchers } from "../../engine/watchers.ts";
import type { Log } from "../../lib/log.ts";
import type { JsonBody } from "../../wire/json-body.ts";
import { taskId } from "../../wire/shared-schemas.ts";
import { type SubmissionKey, submit } from "../../wire/submission.ts";
import { presentTask, TaskAnswer, taskNames } from "../../wire/task-answer.ts";
import { CreateBody } from "../../wire/task-input.ts";
import { jsonBody, readBody } from "../body.ts";
import { idempotencyKeyOf, waitOf } from "../conditional-headers.ts";
import {
  IDEMPOTENCY_KEY,
  IDEMPOTENT_REPLAYED,
  LOCATION,
  PREFER_WAIT,
  PREFERENCE_APPLIED,
} from "../header-schemas.ts";
import type { Call, Route } from "../route.ts";
import { REPLAYED } from "../step-once.ts";

/**
 * One type for all answers: some generators of clients use one type for all statuses, others the first one.
 */
const CreateAnswer = z
  .object({
    message: z
      .string()
      .optional()
      .meta({
        description: "What was done; missing if the answer is a task that was waited for",
        examples: ["Task created successfully"],
      }),
    task_id: taskId.optional().meta({ description: "The id of the task, if one was sent" }),
    task_ids: z
      .array(taskId)
      .optional()
      .meta({ description: "The ids of the tasks, in the order of the array, if one was sent" }),
    ...TaskAnswer.partial().shape,
  })
  .meta({
    id: "CreateAnswer",
    description:
      "`message` and `task_id`; for an array `message` and `task_ids`; with `Prefer: wait`, the task itself if it has ended in time",
    minProperties: 2,
    dependentRequired: {
      ...Object.fromEntries(taskNames.map((field) => [field, taskNames])),
      task_id: ["message"],
      task_ids: ["message"],
    },
  });

const CREATE_HEADERS = { Location: LOCATION, "Idempotent-Replayed": IDEMPOTENT_REPLAYED };

export type CreateSetup = {
  readonly engine: Pick<Producers, "create"> & Pick<Watchers, "wait"> & Pick<Maintenance, "now">;
  readonly log: Log;
};

export function createCreateRoute({ engine, log }: CreateSetup): Route {
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

  /**
   * The answer must not be a refusal if the task is deleted during the wait or the store fails: the task was
   * created.
   */
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

  return {
    id: "createTask",
    summary: "Submit a task, or an array of up to 1,000 tasks of which all or none are created",
    access: "submit",
    body: jsonBody(CreateBody),
    requestHeaders: { "Idempotency-Key": IDEMPOTENCY_KEY, Prefer: PREFER_WAIT },
    answers: {
      200: {
        description: "The task ended during the wait; or a live task already has the key",
        schema: CreateAnswer,
        headers: { ...CREATE_HEADERS, "Preference-Applied": PREFERENCE_APPLIED },
      },
      201: {
        description: "The task or the tasks were created and are pending",
        schema: CreateAnswer,
        headers: CREATE_HEADERS,
      },
      202: {
        description: "The task was created and did not end during the wait",
        schema: CreateAnswer,
        headers: { ...CREATE_HEADERS, "Preference-Applied": PREFERENCE_APPLIED },
      },
    },
    problems: ["idempotency_mismatch"],
    // Chained, not awaited: each async function would cost the most frequent write another promise and
    // resumption.
    run: (call) => readBody(call).then((body) => createFrom(body, call)),
  };
}

function nullIfRefused(error: unknown): null {
  if (isTaskError(error)) return null;
  throw error;
}

const presentCreated = (id: TaskId, existing: boolean): string =>
  `{"message":"${existing ? "Task already exists" : "Task created successfully"}","task_id":${id}}`;
const presentManyCreated = (ids: readonly TaskId[]): string =>
  `{"message":"Tasks created successfully","task_ids":[${ids.join()}]}`;
