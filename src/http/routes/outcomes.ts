/** What came out of attempts: complete, fail, release. Each outcome bears the token of its lease. */
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
import { answerEach, elementFaults, elementId, judgeCompletion } from "../elements.ts";
import { LeasedTask, leasedTexts } from "../leased-tasks.ts";
import { jsonList } from "../pieces.ts";
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

/** A result that is too large must arrive: its task fails, and the answer tells its worker so. */
const RESULT_BODY_BYTES = 4 * 1_048_576;
const RESULTS_BODY_BYTES = 16 * 1_048_576;

const SettledAnswer = z
  .object({
    message: z.string().meta({ description: "What was done", examples: ["Task completed"] }),
    task_id: taskId,
    tasks: z.array(LeasedTask).optional().meta({ description: "What was claimed with it" }),
  })
  .meta({ id: "OutcomeAnswer", description: "The outcome of an attempt is kept" });
const CompletesAnswer = z
  .object({
    tasks: z
      .array(
        z
          .object({
            id: elementId,
            status: z.enum(["ok", "lease_lost", "invalid"]).meta({
              id: "CompletionStatus",
              description: "`invalid`: it was not understood, and nothing of it was done",
            }),
            ...elementFaults,
          })
          .meta({ id: "CompletionAnswer", description: "What became of one outcome" }),
      )
      .meta({ description: "One for each task, in their order" }),
    claimed: z.array(LeasedTask).meta({ description: "What was claimed with them" }),
    directive: Directive,
  })
  .meta({ id: "CompleteManyAnswer", description: "What became of the outcomes" });

export type OutcomesSetup = {
  readonly engine: Pick<Workers, "isDraining" | "settle"> & Pick<Maintenance, "now">;
  readonly claims: Pick<Claims, "claim">;
};

type OutcomeRoute<S extends z.ZodType<{ readonly token: string }>> = {
  readonly id: string;
  readonly summary: string;
  readonly body: S;
  readonly message: string;
  readonly outcome: (said: z.output<S>) => Outcome;
  readonly next?: (said: z.output<S>) => Claim | undefined;
};

export function createOutcomeRoutes({ engine, claims }: OutcomesSetup) {
  const settleRoute = <S extends z.ZodType<{ readonly token: string }>>(route: OutcomeRoute<S>): Route => ({
    id: route.id,
    summary: route.summary,
    access: "work",
    body: jsonBody(route.body, RESULT_BODY_BYTES),
    answers: { 200: { description: "It is so; the same again is answered alike", schema: SettledAnswer } },
    problems: ["lease_lost"],
    run: async (call: Call) => {
      const id = parseId(call.params.id ?? "");
      const body = await readBody(call);
      const said = validate(route.body, withRawResult(body));
      await engine.settle(id, said.token, route.outcome(said));
      const next = route.next?.(said);
      const answer = `{"message":"${route.message}","task_id":${id}`;
      if (next === undefined) return call.reply(200, `${answer}}`);
      const tasks = await claims.claim(next, call.request.signal);
      return call.reply(200, await jsonList(`${answer},"tasks":`, leasedTexts(tasks, engine.now()), "}"));
    },
  });

  const complete = settleRoute({
    id: "completeTask",
    summary: "Say that a task is done; with `claim`, get the next in the same call",
    body: Complete,
    message: "Task completed",
    outcome: ({ result }) => done(result),
    next: ({ claim }) => claim,
  });

  const fail = settleRoute({
    id: "failTask",
    summary: "Say that an attempt has failed; it is tried again while attempts are left",
    body: Fail,
    message: "Task failed",
    outcome: ({ error, retryable, retry_after }) => ({
      ...{ kind: "failed", error, retryable },
      retryAfterMs: retry_after ?? null,
    }),
  });

  const release = settleRoute({
    id: "releaseTask",
    summary: "Give a task back; that burns no attempt",
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
    summary: "Say that many tasks are done, each for itself; with `claim`, get the next in the same call",
    access: "work",
    body: jsonBody(Completes, RESULTS_BODY_BYTES),
    answers: { 200: { description: "One answer for each", schema: CompletesAnswer } },
    problems: [],
    run: async (call) => {
      const body = await readBody(call);
      const said = validate(CompletesFrame, withRawResults(body));
      const tasks = await answerEach(said.tasks.map(judgeCompletion), settleAll, { status: "invalid" });
      const claimed = said.claim === undefined ? [] : await claims.claim(said.claim, call.request.signal);
      const word = said.claim === undefined ? "run" : await directiveFor(engine, said.claim.worker);
      const before = `{"tasks":${JSON.stringify(tasks)},"claimed":`;
      return call.reply(
        200,
        await jsonList(before, leasedTexts(claimed, engine.now()), `,"directive":"${word}"}`),
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
