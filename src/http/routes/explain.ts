/** Why a task is where it is. */
import { z } from "zod";
import type { Watchers } from "../../engine/watchers.ts";
import { TaskStatus, taskId, timeAnswer } from "../../wire/shared-schemas.ts";
import { parseId } from "../request-path.ts";
import type { Route } from "../route.ts";

const time = timeAnswer;
const count = z.int().min(0);

const ExplainAnswer = z
  .object({
    id: taskId,
    status: TaskStatus,
    reason: z
      .enum([
        ...["not_due", "no_worker", "waiting_for_slot", "about_to_start"],
        ...["running", "cancel_requested", "worker_silent", "ended"],
      ] as const)
      .meta({ id: "ExplainReason", description: "Why a task stands where it stands" }),
    message: z.string().meta({ description: "The same in a sentence" }),
    position: count.nullable().meta({
      description: "Due tasks of its type that go first, counted up to 1,000; null where it is not in line",
    }),
    run_at: time.meta({ description: "When it is due; RFC 3339, UTC" }),
    attempt: count.meta({ description: "How often it was started" }),
    worker: z.string().nullable().meta({ description: "The worker that has it; null where none has" }),
    lease_until: time
      .nullable()
      .meta({ description: "When that worker's lease ends; null where none has it" }),
    workers: z
      .array(z.string())
      .meta({ description: "Those heard of in the last minute that take its type" }),
  })
  .meta({ id: "Explanation", description: "Why a task stands where it stands, in words and in fields" });

export type ExplainSetup = { readonly engine: Pick<Watchers, "explain"> };

export function createExplainRoute({ engine }: ExplainSetup): Route {
  return {
    id: "explainTask",
    summary: "Why a task stands where it stands",
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
