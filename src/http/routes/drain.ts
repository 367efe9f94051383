/** Draining: a worker finishes what it has and takes no more. */
import { z } from "zod";
import type { Workers } from "../../engine/workers.ts";
import { validate } from "../../wire/validate.ts";
import { EMPTY_BODY, NO_BODY, readEmptyBody } from "../body.ts";
import type { Claims } from "../claims.ts";
import type { Route } from "../route.ts";
import { DrainParams } from "../work-schemas.ts";

export const WorkerAnswer = z
  .object({
    message: z.string().meta({ description: "What was done", examples: ["Worker is draining"] }),
    worker: z.string().meta({ description: "The name of the worker" }),
  })
  .meta({ id: "WorkerAnswer", description: "A change of a worker" });

export type DrainSetup = {
  readonly engine: Pick<Workers, "drain">;
  readonly claims: Pick<Claims, "endWaitsOf">;
};

export function createDrainRoutes({ engine, claims }: DrainSetup) {
  const drain: Route = {
    id: "drainWorker",
    summary: "Drain a worker: for twelve hours it finishes its tasks and gets no more",
    access: "manage",
    description: NO_BODY,
    body: EMPTY_BODY,
    answers: {
      200: {
        description: "Later answers to the worker have the directive `drain`",
        schema: WorkerAnswer,
      },
    },
    problems: [],
    run: async (call) => {
      const { worker } = validate(DrainParams, { worker: call.params.name ?? "" });
      await readEmptyBody(call);
      await engine.drain(worker, true);
      // Claims that wait in other processes are answered with `drain` when their wait ends.
      claims.endWaitsOf(worker);
      return call.reply(200, JSON.stringify({ message: "Worker is draining", worker }));
    },
  };

  const undrain: Route = {
    id: "undrainWorker",
    summary: "End the draining of a worker: it gets tasks again",
    access: "manage",
    answers: { 204: { description: "Later answers to the worker have the directive `run`" } },
    problems: [],
    run: async ({ params, reply }) => {
      const { worker } = validate(DrainParams, { worker: params.name ?? "" });
      await engine.drain(worker, false);
      return reply(204, null);
    },
  };

  return { drain, undrain };
}
