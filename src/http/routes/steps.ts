/** Cancelling a task, and trying an ended one again. */
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
        engine,
        callKeyOf(headers, `retry ${id}`),
        (once) => engine.retry(id, { condition, once }),
        () => engine.get(id),
      );
      return reply(200, presentTask(task, engine.now()), said);
    },
  };

  return { cancel, retry };
}
