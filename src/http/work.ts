/** Work for workers in any language: claim, heartbeat, complete, fail, release. Every word bears the token of its lease. */
import { z } from "zod";
import type { Clock } from "../core/clock.ts";
import { formatDurationMs } from "../core/duration.ts";
import { isTaskError } from "../core/error.ts";
import type { Outcome } from "../core/outcome.ts";
import type { JsonText, RunningTask } from "../core/task.ts";
import { textSize } from "../core/text-size.ts";
import type { Engine } from "../engine/engine.ts";
import { withRawResult, withRawResults } from "../wire/raw-json.ts";
import { FaultAnswer, taskId } from "../wire/shared-schemas.ts";
import { validate } from "../wire/validate.ts";
import { TaskAnswer } from "./answer-schemas.ts";
import { EMPTY_BODY, jsonBody, readBody, readEmptyBody, readJson } from "./body.ts";
import { createClaims } from "./claims.ts";
import { type Beat, type Judged, judgeBeats, judgeCompletion } from "./leases.ts";
import { NO_BODY } from "./list-query.ts";
import { jsonList, type Later } from "./pieces.ts";
import type { Call, Route } from "./route.ts";
import { parseId, presentTask } from "./wire.ts";
import {
  Claim,
  Complete,
  Completes,
  CompletesFrame,
  type Completion,
  DrainParams,
  Fail,
  Heartbeat,
  HeartbeatFrame,
  Leave,
  Release,
} from "./work-schemas.ts";

export type WorkSetup = { readonly engine: Engine; readonly clock: Clock; readonly leaseMs: number };

/** Results that are too large must arrive to be told so: the task fails, and its worker is answered. */
const RESULT_BODY_BYTES = 4 * 1_048_576;
const RESULTS_BODY_BYTES = 16 * 1_048_576;

const expiresIn = z.string().meta({
  description: "A Go duration, to be counted from when the request was sent",
  examples: ["30s"],
});
const LeaseAnswer = z
  .object({
    token: z.string().meta({ description: "To be sent with all that is said about the task" }),
    expires_in: expiresIn,
  })
  .meta({ id: "Lease", description: "A worker's hold on a task" });
const LeasedTask = TaskAnswer.extend({ lease: LeaseAnswer }).meta({
  id: "LeasedTask",
  description: "A task and the lease under which the worker has it",
});
const directive = z.enum(["run", "drain", "stop"]).meta({
  id: "Directive",
  description: "`run`: go on; `drain`: finish what you have, you get no more; `stop` is kept for later",
});
const ClaimAnswer = z
  .object({ tasks: z.array(LeasedTask).meta({ description: "The tasks that were claimed" }), directive })
  .meta({ id: "ClaimAnswer", description: "The tasks that a worker gets" });
const elementId = taskId.nullable().meta({ description: "null where the element had no task id" });
const elementFaults = {
  errors: z
    .array(FaultAnswer)
    .optional()
    .meta({ description: "What of this element was not understood: at most ten faults" }),
  errors_omitted: z.int().min(1).optional().meta({ description: "How many more faults it has" }),
};
const HeartbeatAnswer = z
  .object({
    directive,
    leases: z
      .array(
        z
          .object({
            id: elementId,
            status: z.enum(["ok", "cancel", "lost"]).meta({
              id: "LeaseStatus",
              description: "`ok`: go on; `cancel`: stop the work; `lost`: the task is no longer yours",
            }),
            expires_in: expiresIn.optional(),
            ...elementFaults,
          })
          .meta({ id: "LeaseRenewal", description: "What became of one lease" }),
      )
      .meta({ description: "One for each lease, in their order" }),
  })
  .meta({ id: "HeartbeatAnswer", description: "What became of the leases" });
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
    directive,
  })
  .meta({ id: "CompleteManyAnswer", description: "What became of the outcomes" });
const WorkerAnswer = z
  .object({
    message: z.string().meta({ description: "What was done", examples: ["Worker is draining"] }),
    worker: z.string().meta({ description: "The name of the worker" }),
  })
  .meta({ id: "WorkerAnswer", description: "What was done for a worker" });

export function createWorkRoutes({ engine, clock, leaseMs }: WorkSetup) {
  const claims = createClaims({ engine, clock, leaseMs });

  // ---- claiming

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
      const word = await directiveFor(wish.worker);
      return call.reply(200, await jsonList('{"tasks":', leased(tasks), `,"directive":"${word}"}`));
    },
  };

  const directiveFor = async (worker: string): Promise<"run" | "drain"> =>
    (await engine.isDraining(worker)) ? "drain" : "run";

  /** Counted from now, when the lease has begun already: never more than is left. */
  const leased = (tasks: readonly RunningTask[]): Later[] => {
    const now = engine.now();
    return tasks.map((task) => ({ size: textSize(task), text: () => presentLeased(task, now) }));
  };

  function presentLeased(task: RunningTask, now: number): string {
    const lease = { token: task.token, expires_in: formatDurationMs(Math.max(0, task.lease.until - now)) };
    return `${presentTask(task, now).slice(0, -1)},"lease":${JSON.stringify(lease)}}`;
  }

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

  // ---- heartbeats

  const heartbeat: Route = {
    id: "renewLeases",
    summary: "Renew all leases of a worker; bring progress and log lines; learn what to stop",
    access: "work",
    description:
      "Each element is judged by itself. A bad progress or log line is dropped and named in `errors`, and the lease is renewed all the same. An element without a valid id and token is `lost`. Only a body that is no object of `worker` and `leases`, or that names a task twice, is refused as a whole.",
    body: jsonBody(Heartbeat),
    answers: {
      200: {
        description: "One answer for each lease: `cancel`, stop the work; `lost`, it is no longer yours",
        schema: HeartbeatAnswer,
      },
    },
    problems: [],
    run: async (call) => {
      const { worker, leases } = validate(HeartbeatFrame, await readJson(call));
      const answers = await answerEach(judgeBeats(leases), renew, { status: "lost" });
      return call.reply(200, JSON.stringify({ directive: await directiveFor(worker), leases: answers }));
    },
  };

  async function renew(beats: readonly Beat[]): Promise<readonly BeatAnswer[]> {
    const lasting = await engine.leaseMs(beats); // before: a beat that brings a cancel forgets the lease
    const statuses = await engine.extend(beats);
    return beats.map((_, at) => {
      const status = statuses[at] ?? "lost";
      return status === "lost"
        ? { status }
        : { status, expires_in: formatDurationMs(lasting[at] ?? leaseMs) };
    });
  }

  // ---- ends

  const settleRoute = <S extends z.ZodType<{ readonly token: string }>>(route: {
    readonly id: string;
    readonly summary: string;
    readonly body: S;
    readonly message: string;
    readonly outcome: (said: z.output<S>) => Outcome;
    readonly next?: (said: z.output<S>) => Claim | undefined;
  }): Route => ({
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
      return call.reply(200, await jsonList(`${answer},"tasks":`, leased(tasks), "}"));
    },
  });

  const done = (result: JsonText | null | undefined): Outcome => ({ kind: "done", result: result ?? null });

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

  const completeMany: Route = {
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
      const word = said.claim === undefined ? "run" : await directiveFor(said.claim.worker);
      const before = `{"tasks":${JSON.stringify(tasks)},"claimed":`;
      return call.reply(200, await jsonList(before, leased(claimed), `,"directive":"${word}"}`));
    },
  };

  const settleAll = (completions: readonly Completion[]): Promise<readonly CompletionAnswer[]> =>
    Promise.all(completions.map(({ id, token, result }) => settled(engine.settle(id, token, done(result)))));

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

  return {
    claim,
    leave,
    heartbeat,
    complete,
    fail,
    release,
    completeMany,
    drain,
    undrain,
    close: claims.close,
  };
}

type BeatAnswer = { readonly status: "ok" | "cancel" | "lost"; readonly expires_in?: string };
type CompletionAnswer = { readonly status: "ok" | "lease_lost" | "invalid" };

/** An answer for each element, in their order: those that were understood are carried out together. */
async function answerEach<T, A extends object>(
  judged: readonly Judged<T>[],
  carryOut: (understood: readonly T[]) => Promise<readonly A[]>,
  otherwise: A,
): Promise<object[]> {
  const understood = judged.flatMap(({ said }) => (said === null ? [] : [said]));
  const answers = (await carryOut(understood)).values();
  return judged.map(({ id, said, faults }) => ({
    id,
    ...(said === null ? otherwise : (answers.next().value ?? otherwise)),
    ...faults,
  }));
}

const settled = (settling: Promise<void>): Promise<CompletionAnswer> =>
  settling.then(
    () => ({ status: "ok" }),
    (error: unknown) => {
      if (isTaskError(error, "lease_lost")) return { status: "lease_lost" };
      throw error;
    },
  );
