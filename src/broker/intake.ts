/** What a broker brings in place of a POST: the same bodies, under the same rules, and the same refusals. */
import type { Clock } from "../core/clock.ts";
import { isTaskError } from "../core/error.ts";
import { createBackoff } from "../lib/backoff.ts";
import { errorText, type Log } from "../lib/log.ts";
import { checkedKey } from "../wire/idempotency-key.ts";
import { parseBytes } from "../wire/json-body.ts";
import { PROBLEM_STATUS, type Problem, problemDocument, problemOf } from "../wire/problem.ts";
import { submit, type TaskCreator } from "../wire/submission.ts";
import type { Submission, Taken } from "./submissions.ts";

export interface Intake {
  /**
   * Resolves when the tasks of a message are in the store, or never will be for a fault of its own; while the store cannot
   * take them it waits. Rejects only once the intake is closed.
   */
  take(submission: Submission): Promise<Taken>;
  /** From now on nothing waits for the store; safe twice. */
  close(): void;
}

export type IntakeSetup = {
  readonly engine: TaskCreator;
  readonly clock: Clock;
  readonly log: Log;
  /** A short text that does not come twice among a few draws; thousands are another matter. */
  readonly nonce: () => string;
  /** Names a message in its problem document and in the log. */
  readonly requestId: () => string;
};

const RETRY = { firstMs: 250, longestMs: 5_000 };

export function createIntake(setup: IntakeSetup): Intake {
  const { engine, clock, log } = setup;
  const named = createNaming(`${setup.nonce()}${setup.nonce()}`);
  let isClosed = false;
  let isStoreAway = false;
  const backoff = createBackoff(RETRY); // counts the rounds in a row in which the store took nothing
  let pause: { readonly over: Promise<void>; readonly end: () => void } | null = null;

  async function take(submission: Named): Promise<Taken> {
    while (!isClosed) {
      try {
        await create(submission);
        storeTakes();
        return { kind: "accepted" };
      } catch (error) {
        const problem = problemOf(error);
        if (problem === null || isItsOwnFault(problem)) return rejected(problem, error);
        storeRefuses(error);
        await nextRound();
      }
    }
    throw new Error("no more tasks are taken in");
  }

  async function create({ body, scope, key }: Named): Promise<void> {
    await submit(engine, parseBytes(body), { scope, key: checkedKey(key, "message-id") });
  }

  function rejected(problem: Problem | null, error: unknown): Taken {
    const requestId = setup.requestId();
    if (problem === null) log.error("submission_failed", { request_id: requestId, error: errorText(error) });
    else log.debug("submission_rejected", { request_id: requestId, code: problem.code });
    return { kind: "rejected", problem: problemDocument(problem ?? DEFECT, requestId) };
  }

  // ---- an outage of the store is one event, however many messages wait for its end

  function storeRefuses(error: unknown): void {
    if (!isStoreAway && !isTaskError(error, "overloaded")) {
      log.warn("submissions_wait", { error: errorText(error) });
      isStoreAway = true;
    }
  }

  function storeTakes(): void {
    if (isStoreAway) log.info("submissions_go_on");
    isStoreAway = false;
    backoff.reset();
  }

  /** All that wait try again in the same turn, so that they share a write. */
  function nextRound(): Promise<void> {
    pause ??= beginPause();
    return pause.over;
  }

  function beginPause() {
    const { promise, resolve } = Promise.withResolvers<void>();
    const end = (): void => {
      cancelTimer();
      pause = null;
      resolve();
    };
    const cancelTimer = clock.after(backoff.failed(), end);
    return { over: promise, end };
  }

  return {
    take: (submission) => take(named(submission)),
    close: () => {
      isClosed = true;
      pause?.end();
    },
  };
}

/** What another try cannot cure. */
const isItsOwnFault = ({ code }: Problem): boolean => PROBLEM_STATUS[code] < 500;

const DEFECT: Problem = {
  code: "internal",
  message: "The server could not take it; its log says why under this request id",
};

type Named = Submission & { readonly key: string };

/**
 * A store that was cut off in the middle of its answer may have created the tasks all the same: a message without a name gets
 * one for as long as it is in this process's hands, so that the next try finds them. It is remembered for a day: drawn anew for
 * each message, two of 50,000 bore the same one every fourth time, and the second was refused, or taken for the first.
 */
const createNaming = (process: string) => {
  let count = 0;
  return (submission: Submission): Named => ({
    ...submission,
    key: submission.key ?? `unnamed ${process}-${++count}`,
  });
};
