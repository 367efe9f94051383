/** Claims of workers, and the call by which a worker leaves. */
import { z } from "zod";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Workers } from "../../engine/workers.ts";
import { validate } from "../../wire/validate.ts";
import { jsonBody, readJson } from "../body.ts";
import type { Claims } from "../claims.ts";
import { Directive, directiveFor } from "../directive.ts";
import { jsonList } from "../json-list.ts";
import { LeasedTask, leasedTexts } from "../leased-tasks.ts";
import type { Route } from "../route.ts";
import { Claim, Leave } from "../work-schemas.ts";
import { WorkerAnswer } from "./drain.ts";

const ClaimAnswer = z
  .object({
    tasks: z.array(LeasedTask).meta({ description: "The tasks that were claimed" }),
    directive: Directive,
  })
  .meta({ id: "ClaimAnswer", description: "The tasks of a worker, and its directive" });

export type ClaimSetup = {
  readonly engine: Pick<Workers, "isDraining"> & Pick<Maintenance, "now">;
  readonly claims: Pick<Claims, "claim" | "leave">;
};

export function createClaimRoutes({ engine, claims }: ClaimSetup) {
  const claim: Route = {
    id: "claimTasks",
    summary: "Claim due tasks of given types, each with a lease; with `wait`, wait for the first one",
    access: "work",
    description:
      "The answer may have fewer tasks than `max` although more are due: it ends at about 8 MiB of tasks.",
    body: jsonBody(Claim),
    answers: { 200: { description: "The tasks; none if the wait ended without one", schema: ClaimAnswer } },
    problems: [],
    run: async (call) => {
      const asked = validate(Claim, await readJson(call));
      const tasks = await claims.claim(asked, call.request.signal);
      const directive = await directiveFor(engine, asked.worker);
      return call.reply(
        200,
        await jsonList('{"tasks":', leasedTexts(tasks, engine.now()), `,"directive":"${directive}"}`),
      );
    },
  };

  const leave: Route = {
    id: "leaveWorker",
    summary:
      "Report that a worker leaves: its claims of these request ids end, and their tasks are released at once",
    access: "work",
    description:
      "A proxy may keep a claim open after its client has disconnected; the claim then takes a task that no worker runs until its lease expires. After this call the claims of these request ids hold no task and get none, whether they still wait, were answered, or arrive later. Other leases of the worker remain. No attempt is counted.",
    body: jsonBody(Leave),
    answers: {
      200: {
        description: "The claims have ended; a repeated call gets the same answer",
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
