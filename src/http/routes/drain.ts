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
  .meta({ id: "WorkerAnswer", description: "What was done for a worker" });

export type DrainSetup = {
  readonly engine: Pick<Workers, "drain">;
  readonly claims: Pick<Claims, "endWaitsOf">;
};

export function createDrainRoutes({ engine, claims }: DrainSetup) {
  const drain: Route = {
    id: "drainWorker",
    summary: "Tell a worker to finish what it has and to take no more, for twelve hours",
    access: "manage",
    description: NO_BODY,
    body: EMPTY_BODY,
    answers: {
      200: {
        description: "Its next answers say so",
        schema: WorkerAnswer,
      },
    },
    problems: [],
    run: async (call) => {
      const { worker } = validate(DrainParams, { worker: call.params.name ?? "" });
      await readEmptyBody(call);
      await engine.drain(worker, true);
      claims.endWaitsOf(worker); // waits in other processes answer `drain` when they end
      return call.reply(200, JSON.stringify({ message: "Worker is draining", worker }));
    },
  };

  const undrain: Route = {
    id: "undrainWorker",
    summary: "Let a worker take tasks again",
    access: "manage",
    answers: { 204: { description: "Its next answers say so" } },
    problems: [],
    run: async ({ params, reply }) => {
      const { worker } = validate(DrainParams, { worker: params.name ?? "" });
      await engine.drain(worker, false);
      return reply(204, null);
    },
  };

  return { drain, undrain };
}
