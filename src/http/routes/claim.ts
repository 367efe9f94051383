/** Tasks for workers: claimed with a lease each, and given back when a worker leaves. */
import { z } from "zod";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Workers } from "../../engine/workers.ts";
import { validate } from "../../wire/validate.ts";
import { jsonBody, readJson } from "../body.ts";
import type { Claims } from "../claims.ts";
import { Directive, directiveFor } from "../directive.ts";
import { LeasedTask, leasedTexts } from "../leased-tasks.ts";
import { jsonList } from "../pieces.ts";
import type { Route } from "../route.ts";
import { Claim, Leave } from "../work-schemas.ts";
import { WorkerAnswer } from "./drain.ts";

const ClaimAnswer = z
  .object({
    tasks: z.array(LeasedTask).meta({ description: "The tasks that were claimed" }),
    directive: Directive,
  })
  .meta({ id: "ClaimAnswer", description: "The tasks that a worker gets" });

export type ClaimSetup = {
  readonly engine: Pick<Workers, "isDraining"> & Pick<Maintenance, "now">;
  readonly claims: Pick<Claims, "claim" | "leave">;
};

export function createClaimRoutes({ engine, claims }: ClaimSetup) {
  const claim: Route = {
    id: "claimTasks",
    summary: "Claim due tasks of some types, each with a lease; waits for the first one",
    access: "work",
    description:
      "Fewer tasks than `max` may be given although more are due: an answer ends at about 8 MiB of tasks.",
    body: jsonBody(Claim),
    answers: { 200: { description: "The tasks; none when the wait is over", schema: ClaimAnswer } },
    problems: [],
    run: async (call) => {
      const wish = validate(Claim, await readJson(call));
      const tasks = await claims.claim(wish, call.request.signal);
      const word = await directiveFor(engine, wish.worker);
      return call.reply(
        200,
        await jsonList('{"tasks":', leasedTexts(tasks, engine.now()), `,"directive":"${word}"}`),
      );
    },
  };

  const leave: Route = {
    id: "leaveWorker",
    summary:
      "Say that a worker leaves: its claims of these request ids end, and their tasks are given back at once",
    access: "work",
    description:
      "A proxy may keep a claim whose client has gone, and the claim then takes a task that no worker runs until its lease ends. After this call the claims of these request ids hold no task and get none, whether they still wait, were answered, or arrive later. Other leases of the worker stay; this burns no attempt.",
    body: jsonBody(Leave),
    answers: {
      200: {
        description: "The claims have ended; the same again is answered alike",
        schema: WorkerAnswer,
      },
    },
    problems: [],
    run: async (call) => {
      const { worker, requests } = validate(Leave, await readJson(call));
      await claims.leave(worker, requests);
      return call.reply(200, JSON.stringify({ message: "The claims have ended", worker }));
    },
  };

  return { claim, leave };
}
