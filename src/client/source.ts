/**
 * The TaskSource of a worker that is not in the server: the same processor drinks from it over HTTP. Completes of one turn
 * share a request, which brings the next tasks back with it; beats of one turn share a request as well.
 */
import type { Clock } from "../core/clock.ts";
import { formatDurationMs, parseDurationMs } from "../core/duration.ts";
import { TaskError } from "../core/error.ts";
import { FAILURES, largeResultFailure, type Outcome } from "../core/outcome.ts";
import type { Failure } from "../core/task.ts";
import { BATCH_LIMITS, createBatch } from "../lib/batch.ts";
import { errorText, type Log } from "../lib/log.ts";
import { textOf } from "../lib/text.ts";
import { sleep } from "../lib/waiting.ts";
import type { Claimed, ClaimedTask, ClaimWish, SourceBeat, TaskSource } from "../processor/source.ts";
import { isContentRefusal, isForeignRefusal, isRefusal, TaskTrackError } from "./error.ts";
import { polls } from "./polls.ts";
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
  /** Stops claiming: the server ends the claims that it has not answered and takes back their tasks. May be called twice. */
  leave(): void;
  /** Asks for these types from now on; a claim that waits goes on with those that it has. */
  askFor(types: readonly string[]): void;
  /** Leaves. Resolves when all tasks that arrived and were not started are given back. */
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

/** How long a server that does not answer delays the end of a worker. */
const FAREWELL_MS = 3_000;
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

/** How often an outcome that a gateway refuses is sent again, once a second. */
const FOREIGN_REFUSALS = 10;

type Answer = "ok" | "cancel" | "lost";

export function createHttpSource(setup: HttpSourceSetup): HttpSource {
  const { calls, worker, leaseMs, clock, log } = setup;
  // A lease is counted from when its claim was sent, so a claim that waits longer than this would bring one that is half over.
  const waitMs = Math.floor(Math.min(LONGEST_WAIT_MS, leaseMs / 3));
  const brought: Claimed[] = []; // came with the answer to a complete, for the claims that follow
  const foreignRefusals = new WeakMap<Outcome, number>(); // how often a gateway has refused this outcome
  const unanswered = new Set<string>(); // the request ids of claims whose answers have not come
  let types: readonly string[] = [];
  let slots = 1;
  let pollRequest: string | null = null; // of the claim that is to be sent again, because its answer was lost
  let polling = false;
  let bringing: Promise<unknown> | null = null; // the complete that is under way and asks for tasks too
  let bringRequest: string | null = null; // of its claim; after a lost answer the next claim is sent under it
  let closed = false;
  const leaving = new AbortController();
  let farewell: Promise<void> = Promise.resolve();

  // ---- claiming

  /**
   * While a complete that asks for tasks is under way, a claim does not wait at the server. Otherwise a task that comes with the
   * complete would wait for the end of that claim, up to 25 s beside a free slot.
   */
  async function claim(wish: ClaimWish, signal: AbortSignal): Promise<Claimed> {
    types = wish.types;
    slots = wish.slots ?? wish.max;
    while (!closed && !signal.aborted) {
      const turn = await polls.begin(leaving.signal);
      const completing = bringing;
      const mayWait = completing === null && turn?.mayWait === true;
      const claimed = await take(wish.max, mayWait ? waitMs : 0).finally(turn?.end);
      if (closed) await giveBack(claimed.tasks);
      else if (claimed.tasks.length > 0) return claimed;
      else if (!mayWait) await (completing ?? rest());
    }
    return { tasks: [], leasedAt: clock.monotonic() };
  }

  async function take(max: number, withinMs: number): Promise<Claimed> {
    if (closed) return { tasks: [], leasedAt: clock.monotonic() };
    return takeBrought(max) ?? poll(max, withinMs);
  }

  function leave(): void {
    if (closed) return;
    closed = true;
    if (unanswered.size > 0) farewell = endClaims();
    else leaving.abort();
  }

  /**
   * The server is told, because a proxy may keep a claim whose client has gone: it then takes a task that no worker runs. A server
   * of version 0.1.0 does not know the call. There the claim is cut off; the round trip lets the server see that before this worker
   * gives tasks back, which the claim would get otherwise.
   */
  async function endClaims(): Promise<void> {
    const withinMs = Math.min(FAREWELL_MS, leaseMs / 3);
    const isTold = await calls.leave(worker, [...unanswered], withinMs).then(
      () => true,
      () => false,
    );
    leaving.abort();
    if (!isTold) await calls.heartbeat(worker, [], withinMs).then(noted, noted);
  }

  /** Until a claim that may not wait is to be sent again, or this worker leaves. */
  const rest = async (): Promise<void> => {
    if (!closed) await sleep(clock, polls.pauseMs(), leaving.signal);
  };

  function takeBrought(max: number): Claimed | null {
    const first = brought.shift();
    if (first === undefined) return null;
    const { tasks, leasedAt } = first;
    if (tasks.length > max) brought.unshift({ tasks: tasks.slice(max), leasedAt });
    return { tasks: tasks.slice(0, max), leasedAt };
  }

  /** A claim that fails is sent again under its request id: if the server gave it tasks, they come with the next answer. */
  async function poll(max: number, withinMs: number): Promise<Claimed> {
    const sentAt = clock.monotonic();
    const request = pollRequest ?? lostBringRequest() ?? setup.nonce();
    pollRequest = request;
    unanswered.add(request);
    polling = true;
    try {
      const wish = { ...claimBody(max), wait: formatDurationMs(withinMs), request };
      const { tasks, directive } = await calls.claim(wish, withinMs, leaving.signal);
      pollRequest = null;
      unanswered.delete(request);
      heed(directive);
      keepBrought(tasks, sentAt);
      return takeBrought(max) ?? { tasks: [], leasedAt: sentAt };
    } catch (error) {
      if (closed) return { tasks: [], leasedAt: sentAt }; // the server takes back what it had for us
      throw error;
    } finally {
      polling = false;
    }
  }

  function lostBringRequest(): string | null {
    if (bringing !== null) return null; // its answer may still come
    const request = bringRequest;
    bringRequest = null;
    return request;
  }

  function keepBrought(tasks: readonly LeasedTask[], sentAt: number): void {
    if (tasks.length === 0) return;
    const leasedAt = Math.min(sentAt, ...tasks.map(({ lease }) => leasedAtOf(lease, sentAt)));
    brought.push({ tasks: tasks.map(claimedTask), leasedAt });
  }

  /** A lease that an earlier try was given has begun before this one was sent. */
  const leasedAtOf = (lease: LeasedTask["lease"], sentAt: number): number =>
    sentAt + (parseDurationMs(lease.expires_in) ?? leaseMs) - leaseMs;

  const claimBody = (max: number): Omit<ClaimBody, "request"> => ({
    ...{ worker, types, max, slots },
    lease: formatDurationMs(leaseMs),
  });

  function heed(directive: Directive | undefined): void {
    if (directive === "drain" || directive === "stop") setup.onDirective(directive);
  }

  // ---- outcomes

  const completes = createBatch<Completion, Completed>({
    send: completeAll,
    keyOf: ({ id }) => id,
    sizeOf: ({ result }) => 100 + (result?.length ?? 0),
    provesRollback: isContentRefusal, // refused as a whole; the calls are sent again in halves until the invalid one is found
    overloaded: () => new TaskError("overloaded", "Too many outcomes wait for the server"),
    limits: LIMITS_OF_A_REQUEST,
  });

  /**
   * Asks for as many tasks as this complete frees slots, unless a poll asks for them already. If the answer is lost, the next claim or
   * complete is sent under the same request id and gets the tasks that came with it.
   */
  function completeAll(done: readonly Completion[]): Promise<readonly Completed[]> {
    if (polling || closed || brought.length > 0) return completeWith(done, null);
    const request = bringRequest ?? setup.nonce();
    bringRequest = request;
    unanswered.add(request);
    const completing = completeWith(done, { ...claimBody(done.length), request });
    const answered = (): void => {
      bringRequest = null;
      unanswered.delete(request);
    };
    const ended = completing.then(answered, noted).then(() => {
      if (bringing === ended) bringing = null;
    });
    bringing = ended;
    return completing;
  }

  async function completeWith(
    done: readonly Completion[],
    claim: ClaimBody | null,
  ): Promise<readonly Completed[]> {
    const sentAt = clock.monotonic();
    const answer = await calls.complete(done, claim);
    keepBrought(answer.claimed ?? [], sentAt);
    heed(answer.directive);
    if (closed) await giveBackBrought();
    const answers = new Map(answer.tasks.map((task) => [task.id, task]));
    return done.map(({ id }) => answers.get(id) ?? { id, status: "lease_lost" });
  }

  async function settle(id: number, token: string, outcome: Outcome): Promise<void> {
    try {
      await say(id, token, outcome);
    } catch (error) {
      if (!isRefusal(error) || mayPass(error, outcome)) throw error;
      if (error.code === "lease_lost" || error.code === "not_found") throw leaseLost(id);
      log.warn("outcome_refused", { task_id: id, outcome: outcome.kind, error: errorText(error) });
      await say(id, token, plainOutcome(outcome, error)).catch((again: unknown) => {
        throw isRefusal(again) ? leaseLost(id) : again;
      });
    }
  }

  /** A gateway may refuse a valid request while the server is being deployed. */
  function mayPass(error: TaskTrackError, outcome: Outcome): boolean {
    if (!isForeignRefusal(error)) return false;
    const times = (foreignRefusals.get(outcome) ?? 0) + 1;
    foreignRefusals.set(outcome, times);
    return times <= FOREIGN_REFUSALS;
  }

  async function say(id: number, token: string, outcome: Outcome): Promise<void> {
    switch (outcome.kind) {
      case "done": {
        const large = outcome.result === null ? null : largeResultFailure(outcome.result);
        if (large !== null) return say(id, token, lastingFailure(large));
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
    sizeOf: (beat) => jsonBytes(beat),
    provesRollback: isContentRefusal,
    overloaded: () => new TaskError("overloaded", "Too many heartbeats wait for the server"),
    limits: LIMITS_OF_A_REQUEST,
  });

  async function beatAll(sent: readonly BeatBody[]): Promise<readonly Answer[]> {
    const { leases, directive } = await calls.heartbeat(worker, sent, leaseMs / 3);
    heed(directive);
    const answers = new Map(leases.map((lease) => [lease.id, lease]));
    return sent.map(({ id }) => {
      const { status, errors } = answers.get(id) ?? { status: "lost" as const };
      if (errors !== undefined) log.warn("words_refused", { task_id: id, error: faultText(errors) });
      return status;
    });
  }

  /**
   * Progress and log lines never cost a lease. A server that judges a heartbeat as a whole (0.1.0) gets the refused heartbeat
   * again without them. A lease that the server refuses even then is invalid.
   */
  async function extendOne(beat: SourceBeat): Promise<Answer> {
    try {
      return await extendWithWords(beat);
    } catch (error) {
      if (!isContentRefusal(error)) throw error;
      log.warn("words_refused", { task_id: beat.id, error: errorText(error) });
      return beats({ id: beat.id, token: beat.token }).catch((again: unknown) => {
        if (isContentRefusal(again)) return "lost";
        throw again;
      });
    }
  }

  /** Splits a request that is too large into several. The last answer counts. */
  async function extendWithWords(beat: SourceBeat): Promise<Answer> {
    let answer: Answer = "ok";
    for (const piece of piecesOf(beat)) answer = await beats(piece);
    return answer;
  }

  // ---- life

  const giveBackBrought = (): Promise<void> => giveBack(brought.splice(0).flatMap(({ tasks }) => tasks));

  async function giveBack(tasks: readonly ClaimedTask[]): Promise<void> {
    await farewell;
    await Promise.all(
      tasks.map(({ id, token }) =>
        calls.release(id, { token }).catch((error: unknown) => {
          if (isRefusal(error) && error.code === "lease_lost") return; // the server has taken it back already
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
    leave,
    askFor: (wanted) => {
      types = wanted;
    },
    close: () => {
      leave();
      return giveBackBrought();
    },
  };
}

const noted = (): void => undefined;

const leaseLost = (id: number): TaskError =>
  new TaskError("lease_lost", `The lease on task ${id} has ended; its outcome no longer counts`);

type Completed = CompleteAnswer["tasks"][number];

const notUnderstood = (fields: TaskTrackError["fields"]): TaskTrackError =>
  new TaskTrackError(faultText(fields), { code: "invalid", status: 400, fields });

const faultText = (faults: TaskTrackError["fields"]): string =>
  faults.map(({ pointer, detail }) => `${pointer} ${detail}`).join("; ");

const lastingFailure = (error: Failure): Outcome => ({
  ...{ kind: "failed", error, retryable: false, retryAfterMs: null },
});

/** A failure that every server accepts, in place of an outcome that the server refuses and would refuse again. */
function plainOutcome(outcome: Outcome, error: TaskTrackError): Outcome {
  switch (outcome.kind) {
    case "done": {
      const code = error.status === 413 ? FAILURES.resultTooLarge : FAILURES.resultRefused;
      return lastingFailure({ code, message: `The server refused the result: ${error.message}` });
    }
    case "failed": {
      const { code, message } = outcome.error;
      return {
        ...{ kind: "failed", error: { code: textOf(code), message: textOf(message) } },
        ...{ retryable: outcome.retryable !== false, retryAfterMs: null },
      };
    }
    case "released":
      return { kind: "released", delayMs: 0 };
    case "lost":
      return outcome;
    default:
      return outcome satisfies never;
  }
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

const encoder = new TextEncoder();
/** The size as sent: a control character takes six bytes. The server cuts off a body that is too large without an answer. */
const jsonBytes = (value: unknown): number => encoder.encode(JSON.stringify(value)).length;

function piecesOf({ id, token, progress, log }: SourceBeat): BeatBody[] {
  const pieces: SourceBeat["log"][number][][] = [[]];
  let bytes = 0;
  for (const line of log) {
    const lineBytes = jsonBytes(line);
    bytes += lineBytes;
    if (bytes > BODY_BYTES / 2) {
      pieces.push([]);
      bytes = lineBytes;
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
