/** Cancels a task, or makes an ended one pending again. */
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Producers } from "../../engine/producers.ts";
import { presentTask, TaskAnswer } from "../../wire/task-answer.ts";
import { EMPTY_BODY, NO_BODY, readEmptyBody } from "../body.ts";
import { callKeyOf, ifMatch } from "../conditional-headers.ts";
import { parseId } from "../request-path.ts";
import type { Route } from "../route.ts";
import { STEP_HEADERS, STEPPED, stepOnce } from "../step-once.ts";

export type StepsSetup = {
  readonly engine: Pick<Producers, "cancel" | "get" | "once" | "retry"> & Pick<Maintenance, "now">;
};

export function createStepRoutes({ engine }: StepsSetup) {
  const cancel: Route = {
    id: "cancelTask",
    summary: "Cancel a task: a pending one at once, a running one by asking its worker",
    access: "manage",
    description: NO_BODY,
    body: EMPTY_BODY,
    requestHeaders: STEP_HEADERS,
    answers: {
      200: { description: "The task is cancelled", schema: TaskAnswer, headers: STEPPED },
      202: {
        description: "The worker is asked to stop within 30 seconds",
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
        engine,
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
    summary: "Make an ended task pending again: its attempts are counted from 0, its history is kept",
    access: "manage",
    description: NO_BODY,
    body: EMPTY_BODY,
    requestHeaders: STEP_HEADERS,
    answers: { 200: { description: "The task is pending", schema: TaskAnswer, headers: STEPPED } },
    problems: ["not_found", "wrong_status", "key_taken", "version_mismatch"],
    run: async (call) => {
      const { headers, params, reply } = call;
      const id = parseId(params.id ?? "");
      await readEmptyBody(call);
      const condition = ifMatch(headers);
      const retried = await stepOnce(
        engine,
        callKeyOf(headers, `retry ${id}`),
        (once) => engine.retry(id, { condition, once }),
        () => engine.get(id),
      );
      return reply(200, presentTask(retried.task, engine.now()), retried.headers);
    },
  };

  return { cancel, retry };
}
