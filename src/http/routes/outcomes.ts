/** The outcomes of attempts: complete, fail, release. Each request names the token of its lease. */
import { z } from "zod";
import { isTaskError } from "../../core/error.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { JsonText } from "../../core/task.ts";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Workers } from "../../engine/workers.ts";
import { withRawResult, withRawResults } from "../../wire/raw-json.ts";
import { taskId } from "../../wire/shared-schemas.ts";
import { validate } from "../../wire/validate.ts";
import { jsonBody, readBody } from "../body.ts";
import type { Claims } from "../claims.ts";
import { Directive, directiveFor } from "../directive.ts";
import { answerEach, checkCompletion, elementFaults, elementId } from "../elements.ts";
import { jsonList } from "../json-list.ts";
import { LeasedTask, leasedTexts } from "../leased-tasks.ts";
import { parseId } from "../request-path.ts";
import type { Call, Route } from "../route.ts";
import {
  type Claim,
  Complete,
  Completes,
  CompletesFrame,
  type Completion,
  Fail,
  Release,
} from "../work-schemas.ts";

/**
 * Larger than a result may be: a result that is too large must be read, because its task then fails with
 * `result_too_large`.
 */
const RESULT_BODY_BYTES = 4 * 1_048_576;
const RESULTS_BODY_BYTES = 16 * 1_048_576;

const SettledAnswer = z
  .object({
    message: z.string().meta({ description: "What was done", examples: ["Task completed"] }),
    task_id: taskId,
    tasks: z
      .array(LeasedTask)
      .optional()
      .meta({ description: "The tasks that were claimed in the same call" }),
  })
  .meta({ id: "OutcomeAnswer", description: "The outcome of an attempt was stored" });
const CompletesAnswer = z
  .object({
    tasks: z
      .array(
        z
          .object({
            id: elementId,
            status: z.enum(["ok", "lease_lost", "invalid"]).meta({
              id: "CompletionStatus",
              description: "`invalid`: the element is invalid and had no effect",
            }),
            ...elementFaults,
          })
          .meta({ id: "CompletionAnswer", description: "The answer for one outcome" }),
      )
      .meta({ description: "One answer for each task, in the order of the request" }),
    claimed: z.array(LeasedTask).meta({ description: "The tasks that were claimed in the same call" }),
    directive: Directive,
  })
  .meta({ id: "CompleteManyAnswer", description: "The answers for the outcomes" });

export type OutcomesSetup = {
  readonly engine: Pick<Workers, "isDraining" | "settle"> & Pick<Maintenance, "now">;
  readonly claims: Pick<Claims, "claim">;
};

type OutcomeRoute<S extends z.ZodType<{ readonly token: string }>> = {
  readonly id: string;
  readonly summary: string;
  readonly body: S;
  readonly message: string;
  readonly outcome: (body: z.output<S>) => Outcome;
  readonly next?: (body: z.output<S>) => Claim | undefined;
};

export function createOutcomeRoutes({ engine, claims }: OutcomesSetup) {
  const settleRoute = <S extends z.ZodType<{ readonly token: string }>>(route: OutcomeRoute<S>): Route => ({
    id: route.id,
    summary: route.summary,
    access: "work",
    body: jsonBody(route.body, RESULT_BODY_BYTES),
    answers: {
      200: {
        description: "The outcome was stored; a repeated call gets the same answer",
        schema: SettledAnswer,
      },
    },
    problems: ["lease_lost"],
    run: async (call: Call) => {
      const id = parseId(call.params.id ?? "");
      const body = validate(route.body, withRawResult(await readBody(call)));
      await engine.settle(id, body.token, route.outcome(body));
      const next = route.next?.(body);
      const answer = `{"message":"${route.message}","task_id":${id}`;
      if (next === undefined) return call.reply(200, `${answer}}`);
      const tasks = await claims.claim(next, call.request.signal);
      return call.reply(200, await jsonList(`${answer},"tasks":`, leasedTexts(tasks, engine.now()), "}"));
    },
  });

  const complete = settleRoute({
    id: "completeTask",
    summary: "Report that a task is done; with `claim`, claim the next ones in the same call",
    body: Complete,
    message: "Task completed",
    outcome: ({ result }) => done(result),
    next: ({ claim }) => claim,
  });

  const fail = settleRoute({
    id: "failTask",
    summary: "Report that an attempt failed; the task is tried again while attempts are left",
    body: Fail,
    message: "Task failed",
    outcome: ({ error, retryable, retry_after }) => ({
      ...{ kind: "failed", error, retryable },
      retryAfterMs: retry_after ?? null,
    }),
  });

  const release = settleRoute({
    id: "releaseTask",
    summary: "Release a task: it is pending again, and no attempt is counted",
    body: Release,
    message: "Task released",
    outcome: ({ delay }) => ({ kind: "released", delayMs: delay ?? 0 }),
  });

  return { complete, fail, release };
}

export function createCompleteManyRoute({ engine, claims }: OutcomesSetup): Route {
  const settleAll = (completions: readonly Completion[]): Promise<readonly CompletionAnswer[]> =>
    Promise.all(completions.map(({ id, token, result }) => settled(engine.settle(id, token, done(result)))));

  return {
    id: "completeTasks",
    summary:
      "Report that many tasks are done, each by itself; with `claim`, claim the next ones in the same call",
    access: "work",
    body: jsonBody(Completes, RESULTS_BODY_BYTES),
    answers: { 200: { description: "One answer for each task", schema: CompletesAnswer } },
    problems: [],
    run: async (call) => {
      const { tasks, claim } = validate(CompletesFrame, withRawResults(await readBody(call)));
      const answers = await answerEach(tasks.map(checkCompletion), settleAll, { status: "invalid" });
      const claimed = claim === undefined ? [] : await claims.claim(claim, call.request.signal);
      const directive = claim === undefined ? "run" : await directiveFor(engine, claim.worker);
      const before = `{"tasks":${JSON.stringify(answers)},"claimed":`;
      return call.reply(
        200,
        await jsonList(before, leasedTexts(claimed, engine.now()), `,"directive":"${directive}"}`),
      );
    },
  };
}

const done = (result: JsonText | null | undefined): Outcome => ({ kind: "done", result: result ?? null });

type CompletionAnswer = { readonly status: "ok" | "lease_lost" | "invalid" };

const settled = (settling: Promise<void>): Promise<CompletionAnswer> =>
  settling.then(
    () => ({ status: "ok" }),
    (error: unknown) => {
      if (isTaskError(error, "lease_lost")) return { status: "lease_lost" };
      throw error;
    },
  );
