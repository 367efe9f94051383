/**
 * The TaskSource of a worker that is not in the server: the same processor drinks from it over HTTP. Completes of one turn
 * share a request, which brings the next tasks back with it; beats of one turn share a request as well.
 */
import type { Clock } from "../core/clock.ts";
import { formatDurationMs, parseDurationMs } from "../core/duration.ts";
import { TaskError } from "../core/error.ts";
import { FAILURES, type Outcome } from "../core/outcome.ts";
import { BATCH_LIMITS, createBatch } from "../lib/batch.ts";
import { errorText, type Log } from "../lib/log.ts";
import {
  ASK_ANEW,
  type Claimed,
  type ClaimedTask,
  type ClaimWish,
  type SourceBeat,
  type TaskSource,
} from "../processor/source.ts";
import { isRefusal, TaskTrackError } from "./error.ts";
import type {
  BeatBody,
  ClaimBody,
  CompleteAnswer,
  Completion,
  Directive,
  LeasedTask,
  WorkCalls,
} from "./work.ts";

export interface HttpSource extends TaskSource {
  /** Gives back what came and was not begun. Nothing is claimed any more. */
  close(): Promise<void>;
}

export type HttpSourceSetup = {
  readonly calls: WorkCalls;
  readonly worker: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** A text that never comes twice. */
  readonly nonce: () => string;
  /** The server has said something other than to go on. */
  readonly onDirective: (directive: Exclude<Directive, "run">) => void;
};

/** How long a server that does not answer holds up an end. */
const FAREWELL_MS = 1_000;
const LONGEST_WAIT_MS = 25_000;
/** A request's body may have 1 MiB; some of it is left for what is around the texts. */
const BODY_BYTES = 768 * 1_024;
const LIMITS_OF_A_REQUEST = {
  ...BATCH_LIMITS,
  calls: 1_000,
  bytes: BODY_BYTES,
  waitingCalls: 1_000_000,
  waitingBytes: 1_024 * 1_048_576,
};

type Answer = "ok" | "cancel" | "lost";

export function createHttpSource(setup: HttpSourceSetup): HttpSource {
  const { calls, worker, leaseMs, clock, log } = setup;
  // A lease is counted from when its claim was sent, so a claim that waits longer than this would bring one that is half over.
  const waitMs = Math.floor(Math.min(LONGEST_WAIT_MS, leaseMs / 3));
  const brought: Claimed[] = []; // came with the answer to a complete, for the claims that follow
  let types: readonly string[] = [];
  let slots = 1;
  let polling = false;
  let closed = false;
  const leaving = new AbortController();
  let farewell: Promise<void> = Promise.resolve();

  // ---- claiming

  async function claim(wish: ClaimWish, signal: AbortSignal): Promise<Claimed> {
    types = wish.types;
    slots = wish.slots ?? wish.max;
    const onAbort = (): void => {
      if (signal.reason !== ASK_ANEW) endClaims(); // else the claim that waits ends by itself, soon
    };
    signal.addEventListener("abort", onAbort, { once: true });
    while (!signal.aborted) {
      const claimed = takeBrought(wish.max) ?? (await poll(wish.max));
      if (closed) brought.push(claimed);
      else if (claimed.tasks.length > 0) return claimed;
    }
    return { tasks: [], leasedAt: clock.monotonic() };
  }

  /**
   * A claim that waits is left in two steps. First a round trip, so that an answer that is on its way comes in and can be given back.
   * Then, when it is cut off, another one: until the server sees that, it may still give tasks to who has gone, and what this very
   * worker gives back must not be among them.
   */
  const endClaims = (): void => {
    closed = true;
    if (!polling) return;
    farewell = roundTrip().then(() => {
      leaving.abort();
      return roundTrip();
    });
  };

  const roundTrip = (): Promise<void> =>
    calls.heartbeat(worker, [], Math.min(FAREWELL_MS, leaseMs / 3)).then(noted, noted);

  function takeBrought(max: number): Claimed | null {
    const first = brought.shift();
    if (first === undefined) return null;
    const { tasks, leasedAt } = first;
    if (tasks.length > max) brought.unshift({ tasks: tasks.slice(max), leasedAt });
    return { tasks: tasks.slice(0, max), leasedAt };
  }

  async function poll(max: number): Promise<Claimed> {
    const leasedAt = clock.monotonic();
    polling = true;
    try {
      const wish = { ...claimBody(max), wait: formatDurationMs(waitMs) };
      const { tasks, directive } = await calls.claim(wish, waitMs, leaving.signal);
      heed(directive);
      return { tasks: tasks.map(claimedTask), leasedAt };
    } catch (error) {
      if (closed) return { tasks: [], leasedAt }; // the server takes back what it had for us
      throw error;
    } finally {
      polling = false;
    }
  }

  const claimBody = (max: number): ClaimBody => ({
    ...{ worker, types, max, slots },
    lease: formatDurationMs(leaseMs),
  });

  /** One that does not wait may be repeated; one that waits must not outlive who waits. */
  const repeatable = (max: number): ClaimBody => ({ ...claimBody(max), request: setup.nonce() });

  function heed(directive: Directive | undefined): void {
    if (directive === "drain" || directive === "stop") setup.onDirective(directive);
  }

  // ---- outcomes

  const completes = createBatch<Completion, Completed>({
    send: completeAll,
    keyOf: ({ id }) => id,
    sizeOf: ({ result }) => 100 + (result?.length ?? 0),
    provesRollback: isRefusal, // refused as a whole; in halves the guilty one is found
    overloaded: () => new TaskError("overloaded", "Too many outcomes wait for the server"),
    limits: LIMITS_OF_A_REQUEST,
  });

  /** As many tasks are asked for as slots become free by this, unless a claim asks for them already. */
  async function completeAll(done: readonly Completion[]): Promise<readonly Completed[]> {
    const asks = !polling && !closed && brought.length === 0;
    const leasedAt = clock.monotonic();
    const answer = await calls.complete(done, asks ? repeatable(done.length) : null);
    const tasks = (answer.claimed ?? []).map(claimedTask);
    if (tasks.length > 0) brought.push({ tasks, leasedAt });
    if (closed) await giveBack();
    heed(answer.directive);
    const answers = new Map(answer.tasks.map((task) => [task.id, task]));
    return done.map(({ id }) => answers.get(id) ?? { id, status: "lease_lost" });
  }

  async function settle(id: number, token: string, outcome: Outcome): Promise<void> {
    try {
      await say(id, token, outcome);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (error.code === "lease_lost" || error.code === "not_found") throw leaseLost(id);
      if (outcome.kind !== "done") throw error;
      await say(id, token, refusedResult(error)).catch((again: unknown) => {
        throw isRefusal(again) ? leaseLost(id) : again;
      });
    }
  }

  async function say(id: number, token: string, outcome: Outcome): Promise<void> {
    switch (outcome.kind) {
      case "done": {
        const { status, errors = [] } = await completes({ id, token, result: outcome.result });
        if (status === "lease_lost") throw leaseLost(id);
        if (status === "invalid") throw notUnderstood(errors);
        return;
      }
      case "failed": {
        const { error, retryable, retryAfterMs } = outcome;
        const retryAfter = retryAfterMs === null ? {} : { retry_after: formatDurationMs(retryAfterMs) };
        return calls.fail(id, { token, error, retryable, ...retryAfter });
      }
      case "released": {
        const delay = outcome.delayMs === 0 ? {} : { delay: formatDurationMs(outcome.delayMs) };
        return farewell.then(() => calls.release(id, { token, ...delay }));
      }
      case "lost":
        return; // the end of the lease says it: a loss is nothing that a worker can say of itself over HTTP
      default:
        return outcome satisfies never;
    }
  }

  // ---- heartbeats

  const beats = createBatch<BeatBody, Answer>({
    send: beatAll,
    keyOf: ({ id }) => id,
    sizeOf: beatBytes,
    provesRollback: isRefusal,
    overloaded: () => new TaskError("overloaded", "Too many heartbeats wait for the server"),
    limits: LIMITS_OF_A_REQUEST,
  });

  async function beatAll(sent: readonly BeatBody[]): Promise<readonly Answer[]> {
    const { leases, directive } = await calls.heartbeat(worker, sent, leaseMs / 3);
    heed(directive);
    const statuses = new Map(leases.map(({ id, status }) => [id, status]));
    return sent.map(({ id }) => statuses.get(id) ?? "lost");
  }

  /** What does not fit into one request goes in several; the last answer counts. */
  async function extendOne(beat: SourceBeat): Promise<Answer> {
    let answer: Answer = "ok";
    for (const piece of piecesOf(beat)) answer = await beats(piece);
    return answer;
  }

  // ---- life

  async function giveBack(): Promise<void> {
    const unbegun = brought.splice(0).flatMap(({ tasks }) => tasks);
    await farewell;
    await Promise.all(
      unbegun.map(({ id, token }) =>
        calls.release(id, { token }).catch((error: unknown) => {
          log.warn("give_back_failed", { task_id: id, error: errorText(error) }); // its lease ends by itself
        }),
      ),
    );
  }

  return {
    claim,
    settle,
    extend: (sent) => Promise.all(sent.map(extendOne)),
    onRevoked: () => () => undefined, // the answers to heartbeats say it
    close: () => {
      closed = true;
      return giveBack();
    },
  };
}

const noted = (): void => undefined;

const leaseLost = (id: number): TaskError =>
  new TaskError("lease_lost", `The lease on task ${id} has ended; its outcome no longer counts`);

type Completed = CompleteAnswer["tasks"][number];

const notUnderstood = (fields: TaskTrackError["fields"]): TaskTrackError =>
  new TaskTrackError(fields.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; "), {
    ...{ code: "invalid", status: 400, fields },
  });

/** A result that the server will not take, now or later, is a failure. */
function refusedResult(error: TaskTrackError): Outcome {
  const code = error.code === "body_too_large" ? FAILURES.resultTooLarge : "result_refused";
  const message = `The server refused the result: ${error.message}`;
  return { kind: "failed", error: { code, message }, retryable: false, retryAfterMs: null };
}

const claimedTask = (task: LeasedTask): ClaimedTask => ({
  id: task.id,
  version: task.version,
  name: task.name,
  description: task.description,
  type: task.type,
  payload: task.payloadText,
  tags: task.tags,
  timeoutMs: task.timeout === null ? null : parseDurationMs(task.timeout),
  attempt: task.attempt,
  losses: lossesOf(task.attempts),
  token: task.lease.token,
  createdAt: Date.parse(task.created_at),
});

/** The wire does not count them; the latest ones are in the history. */
const lossesOf = (attempts: LeasedTask["attempts"]): number =>
  attempts.length - 1 - attempts.findLastIndex(({ outcome }) => outcome !== "lost");

const lineBytes = (line: SourceBeat["log"][number]): number => 40 + 3 * line.message.length;

const beatBytes = ({ progress, log }: BeatBody): number =>
  200 +
  3 * (progress?.message.length ?? 0) +
  (log ?? []).reduce((sum, line) => sum + 40 + 3 * lengthOf(line), 0);

const lengthOf = (line: NonNullable<BeatBody["log"]>[number]): number =>
  typeof line === "string" ? line.length : line.message.length;

function piecesOf({ id, token, progress, log }: SourceBeat): BeatBody[] {
  const pieces: SourceBeat["log"][number][][] = [[]];
  let bytes = 0;
  for (const line of log) {
    bytes += lineBytes(line);
    if (bytes > BODY_BYTES / 2) {
      pieces.push([]);
      bytes = lineBytes(line);
    }
    pieces.at(-1)?.push(line);
  }
  return pieces.map((lines) => ({
    ...{ id, token },
    ...(progress === null ? {} : { progress }),
    ...(lines.length === 0 ? {} : { log: lines.map(logEntry) }),
  }));
}

const logEntry = (line: SourceBeat["log"][number]) => (line.level === "info" ? line.message : line);
