/** Explains the state of a task. */
import { z } from "zod";
import type { Watchers } from "../../engine/watchers.ts";
import { TaskStatus, taskId, timeAnswer } from "../../wire/shared-schemas.ts";
import { parseId } from "../request-path.ts";
import type { Route } from "../route.ts";

const time = timeAnswer;
const count = z.int().min(0);

export const ExplainAnswer = z
  .object({
    id: taskId,
    status: TaskStatus,
    reason: z
      .enum([
        ...["not_due", "no_worker", "waiting_for_slot", "about_to_start"],
        ...["running", "cancel_requested", "worker_silent", "ended"],
      ] as const)
      .meta({ id: "ExplainReason", description: "The reason for the state of a task" }),
    message: z.string().meta({ description: "The reason in a sentence" }),
    position: count.nullable().meta({
      description:
        "How many due tasks of its type are before it, counted up to 1,000; null if it does not wait for a worker",
    }),
    run_at: time.meta({ description: "When it is due; RFC 3339, UTC" }),
    attempt: count.meta({ description: "The number of its attempts" }),
    worker: z.string().nullable().meta({ description: "The worker that holds it; null if none does" }),
    lease_until: time
      .nullable()
      .meta({ description: "When the lease of that worker ends; null if there is none" }),
    workers: z
      .array(z.string())
      .meta({ description: "The workers for its type that were active in the last minute" }),
  })
  .meta({
    id: "Explanation",
    description: "The reason for the state of a task, as a sentence and in fields",
  });

export type ExplainSetup = { readonly engine: Pick<Watchers, "explain"> };

export function createExplainRoute({ engine }: ExplainSetup): Route {
  return {
    id: "explainTask",
    summary: "Explain the state of a task: why it does not run yet, or how it ended",
    access: "read",
    answers: { 200: { description: "The reason", schema: ExplainAnswer } },
    problems: ["not_found"],
    run: async ({ params, reply }) => {
      const { task, ...explanation } = await engine.explain(parseId(params.id ?? ""));
      const { id, status, runAt, attempt, lease } = task;
      return reply(
        200,
        JSON.stringify({
          ...{ id, status, ...explanation, attempt },
          run_at: timestamp(runAt),
          worker: lease?.worker ?? null,
          lease_until: lease === null ? null : timestamp(lease.until),
        }),
      );
    },
  };
}

const timestamp = (ms: number): string => new Date(ms).toISOString();
