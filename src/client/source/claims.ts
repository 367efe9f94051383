/** Claims over HTTP: long polls, and claims that go with a complete. */
import type { Clock } from "../../core/clock.ts";
import { formatDurationMs } from "../../core/duration.ts";
import type { Log } from "../../lib/log.ts";
import { sleep } from "../../lib/waiting.ts";
import type { Claimed, ClaimRequest } from "../../processor/source.ts";
import { polls } from "../polls.ts";
import type { ClaimBody, Directive, LeasedTask, WorkCalls } from "../work.ts";
import { createLeasedTasks } from "./leased-tasks.ts";
import { createLeave, type Leave } from "./leave.ts";

export interface Claims extends Pick<Leave, "leave" | "left"> {
  /** Waits for at least one task. Resolves without tasks when the signal aborts, or after `leave`. */
  claim(request: ClaimRequest, signal: AbortSignal): Promise<Claimed>;
  /** The types of the claims that are sent from now on. */
  askFor(types: readonly string[]): void;
  /**
   * Sends a request that frees up to `max` slots, together with a claim for as many tasks; without one if a long poll already asks for
   * tasks. If the answer is lost, the next claim is sent under the same request id and gets the tasks that came with it.
   */
  sendWithClaim<Answer>(max: number, send: (claim: ClaimBody | null) => Promise<Answer>): Promise<Answer>;
  /** Keeps the tasks of an answer for the next claims; after `leave`, releases them. */
  receive(tasks: readonly LeasedTask[], sentAt: number): Promise<void>;
  /** Releases the tasks that have arrived and were not started. */
  giveBackArrived(): Promise<void>;
}

export type ClaimsSetup = {
  readonly calls: WorkCalls;
  readonly worker: string;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Returns a different text at each call. */
  readonly nonce: () => string;
  readonly onDirective: (directive: Directive | undefined) => void;
};

const LONGEST_WAIT_MS = 25_000;

export function createClaims(setup: ClaimsSetup): Claims {
  const { calls, worker, leaseMs, clock } = setup;
  // A lease is counted from the time when its claim was sent: after a longer wait, a large part of the lease would be over.
  const waitMs = Math.floor(Math.min(LONGEST_WAIT_MS, leaseMs / 3));
  const arrived = createLeasedTasks(leaseMs);
  const unanswered = new Set<string>(); // the request ids of claims without an answer
  const departure = createLeave({ calls, worker, leaseMs, log: setup.log, unanswered });
  let types: readonly string[] = [];
  let slots = 1;
  let isPolling = false;
  let pollRequest: string | null = null; // the request id of a poll whose answer was lost; the next poll repeats it
  let sending: Promise<unknown> | null = null; // the unanswered request that has a claim
  let sentRequest: string | null = null; // the request id of that claim; if the answer is lost, the next claim repeats it

  // ---- long polls

  /**
   * While another request with a claim has no answer, a poll does not wait at the server. Otherwise a task in that answer would not
   * start before the end of the poll, for up to 25 s, although a slot is free.
   */
  async function claim(request: ClaimRequest, signal: AbortSignal): Promise<Claimed> {
    types = request.types;
    slots = request.slots ?? request.max;
    while (!departure.isLeaving && !signal.aborted) {
      const turn = await polls.begin(departure.signal);
      const other = sending;
      const mayWait = other === null && turn?.mayWait === true;
      const claimed = await take(request.max, mayWait ? waitMs : 0).finally(turn?.end);
      if (departure.isLeaving) await departure.giveBack(claimed.tasks);
      else if (claimed.tasks.length > 0) return claimed;
      else if (!mayWait) await (other ?? pause());
    }
    return { tasks: [], leasedAt: clock.monotonic() };
  }

  async function take(max: number, withinMs: number): Promise<Claimed> {
    if (departure.isLeaving) return { tasks: [], leasedAt: clock.monotonic() };
    return arrived.take(max) ?? poll(max, withinMs);
  }

  const pause = async (): Promise<void> => {
    if (!departure.isLeaving) await sleep(clock, polls.pauseMs(), departure.signal);
  };

  /** A failed poll is sent again under its request id: if the server has leased tasks to it, the next answer has them. */
  async function poll(max: number, withinMs: number): Promise<Claimed> {
    const sentAt = clock.monotonic();
    const requestId = pollRequest ?? lostRequest() ?? setup.nonce();
    pollRequest = requestId;
    unanswered.add(requestId);
    isPolling = true;
    try {
      const body = { ...claimBody(max, requestId), wait: formatDurationMs(withinMs) };
      const { tasks, directive } = await calls.claim(body, withinMs, departure.signal);
      pollRequest = null;
      unanswered.delete(requestId);
      setup.onDirective(directive);
      arrived.add(tasks, sentAt);
      return arrived.take(max) ?? { tasks: [], leasedAt: sentAt };
    } catch (error) {
      if (departure.isLeaving) return { tasks: [], leasedAt: sentAt }; // the server takes back the tasks of this poll
      throw error;
    } finally {
      isPolling = false;
    }
  }

  function lostRequest(): string | null {
    if (sending !== null) return null; // its answer may still come
    const requestId = sentRequest;
    sentRequest = null;
    return requestId;
  }

  const claimBody = (max: number, requestId: string): ClaimBody => ({
    ...{ worker, types, max, slots, request: requestId },
    lease: formatDurationMs(leaseMs),
  });

  // ---- claims that go with another request

  function sendWithClaim<Answer>(
    max: number,
    send: (claim: ClaimBody | null) => Promise<Answer>,
  ): Promise<Answer> {
    if (isPolling || departure.isLeaving || !arrived.isEmpty) return send(null);
    const requestId = sentRequest ?? setup.nonce();
    sentRequest = requestId;
    unanswered.add(requestId);
    const answer = send(claimBody(max, requestId));
    const onAnswer = (): void => {
      sentRequest = null;
      unanswered.delete(requestId);
    };
    const ended = answer.then(onAnswer, ignore).then(() => {
      if (sending === ended) sending = null;
    });
    sending = ended;
    return answer;
  }

  async function receive(tasks: readonly LeasedTask[], sentAt: number): Promise<void> {
    arrived.add(tasks, sentAt);
    if (departure.isLeaving) await departure.giveBack(arrived.takeAll());
  }

  return {
    claim,
    askFor: (wanted) => {
      types = wanted;
    },
    sendWithClaim,
    receive,
    leave: departure.leave,
    left: departure.left,
    giveBackArrived: () => departure.giveBack(arrived.takeAll()),
  };
}

const ignore = (): void => undefined;
