/** Heartbeats: a worker extends its leases, and learns which of its tasks to stop. */
import { z } from "zod";
import { formatDurationMs } from "../../core/duration.ts";
import type { Workers } from "../../engine/workers.ts";
import { validate } from "../../wire/validate.ts";
import { jsonBody, readJson } from "../body.ts";
import { Directive, directiveFor } from "../directive.ts";
import { answerEach, type Beat, checkBeats, elementFaults, elementId } from "../elements.ts";
import { expiresIn } from "../leased-tasks.ts";
import type { Route } from "../route.ts";
import { Heartbeat, HeartbeatFrame } from "../work-schemas.ts";

const HeartbeatAnswer = z
  .object({
    directive: Directive,
    leases: z
      .array(
        z
          .object({
            id: elementId,
            status: z.enum(["ok", "cancel", "lost"]).meta({
              id: "LeaseStatus",
              description:
                "`ok`: continue; `cancel`: stop the work; `lost`: the worker no longer holds the task",
            }),
            expires_in: expiresIn.optional(),
            ...elementFaults,
          })
          .meta({ id: "LeaseRenewal", description: "The answer for one lease" }),
      )
      .meta({ description: "One answer for each lease, in the order of the request" }),
  })
  .meta({ id: "HeartbeatAnswer", description: "The answers for the leases" });

type BeatAnswer = { readonly status: "ok" | "cancel" | "lost"; readonly expires_in?: string };

export type HeartbeatSetup = {
  readonly engine: Pick<Workers, "extend" | "isDraining" | "leaseMs">;
  /** The length of leases whose own length is no longer known. */
  readonly leaseMs: number;
};

export function createHeartbeatRoute({ engine, leaseMs }: HeartbeatSetup): Route {
  async function renew(beats: readonly Beat[]): Promise<readonly BeatAnswer[]> {
    // Read before `extend`, because `extend` forgets the lease of a task that is being cancelled.
    const lasting = await engine.leaseMs(beats);
    const statuses = await engine.extend(beats);
    return beats.map((_, at) => {
      const status = statuses[at] ?? "lost";
      return status === "lost"
        ? { status }
        : { status, expires_in: formatDurationMs(lasting[at] ?? leaseMs) };
    });
  }

  return {
    id: "renewLeases",
    summary: "Renew all leases of a worker, with progress and log lines; the answer names the work to stop",
    access: "work",
    description:
      "Each element is checked by itself. An invalid progress or log line is dropped and named in `errors`, and the lease is renewed nevertheless. An element without a valid id and token is `lost`. Only a body that is not an object of `worker` and `leases`, or that names a task twice, is refused as a whole.",
    body: jsonBody(Heartbeat),
    answers: {
      200: {
        description:
          "One answer for each lease: `cancel`, stop the work; `lost`, the worker no longer holds the task",
        schema: HeartbeatAnswer,
      },
    },
    problems: [],
    run: async (call) => {
      const { worker, leases } = validate(HeartbeatFrame, await readJson(call));
      const answers = await answerEach(checkBeats(leases), renew, { status: "lost" });
      return call.reply(
        200,
        JSON.stringify({ directive: await directiveFor(engine, worker), leases: answers }),
      );
    },
  };
}
