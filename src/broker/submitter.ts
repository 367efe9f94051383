import type { Clock } from "../core/clock.ts";
import { isTaskError } from "../core/error.ts";
import { createBackoff } from "../lib/backoff.ts";
import { errorText, type Log } from "../lib/log.ts";
import { sleep } from "../lib/waiting.ts";
import { checkedKey } from "../wire/idempotency-key.ts";
import { parseBytes } from "../wire/json-body.ts";
import { PROBLEM_STATUS, type Problem, problemDocument, problemOf } from "../wire/problem.ts";
import { submit, type TaskCreator } from "../wire/submission.ts";
import type { Submission, SubmissionResult } from "./submissions.ts";

/** Creates the tasks of a broker's messages: the same bodies as POST /api/task, by the same rules, with the same refusals. */
export interface Submitter {
  /**
   * Resolves when the tasks of a message are stored, or are refused because of the message itself. Waits while the store
   * does not accept them. Rejects only after `close`.
   */
  submit(submission: Submission): Promise<SubmissionResult>;
  /** Ends all waits for the store. May be called twice. */
  close(): void;
}

export type SubmitterSetup = {
  readonly engine: TaskCreator;
  readonly clock: Clock;
  readonly log: Log;
  /** A short random text. It is unique among a few texts, but not among thousands. */
  readonly nonce: () => string;
  /** The id of a message in its problem document and in the log. */
  readonly requestId: () => string;
};

const RETRY = { firstMs: 250, longestMs: 5_000 };

export function createSubmitter(setup: SubmitterSetup): Submitter {
  const { engine, clock, log } = setup;
  const keyed = createKeys(`${setup.nonce()}${setup.nonce()}`);
  const closing = new AbortController();
  const backoff = createBackoff(RETRY); // counts the failed rounds in a row
  let isStoreAway = false;
  let pause: Promise<void> | null = null;

  async function untilStored(submission: Keyed): Promise<SubmissionResult> {
    while (!closing.signal.aborted) {
      try {
        await create(submission);
        succeeded();
        return { kind: "accepted" };
      } catch (error) {
        const problem = problemOf(error);
        if (problem === null || isPermanent(problem)) return rejected(problem, error);
        failed(error);
        await nextRound();
      }
    }
    throw new Error("the server accepts no more messages");
  }

  async function create({ body, scope, key }: Keyed): Promise<void> {
    await submit(engine, parseBytes(body), { scope, key: checkedKey(key, "message-id") });
  }

  function rejected(problem: Problem | null, error: unknown): SubmissionResult {
    const requestId = setup.requestId();
    if (problem === null) log.error("submission_failed", { request_id: requestId, error: errorText(error) });
    else log.debug("submission_rejected", { request_id: requestId, code: problem.code });
    return { kind: "rejected", problem: problemDocument(problem ?? DEFECT, requestId) };
  }

  // ---- each outage of the store is logged once, not once for each waiting message

  function failed(error: unknown): void {
    if (!isStoreAway && !isTaskError(error, "overloaded")) {
      log.warn("submissions_wait", { error: errorText(error) });
      isStoreAway = true;
    }
  }

  function succeeded(): void {
    if (isStoreAway) log.info("submissions_go_on");
    isStoreAway = false;
    backoff.reset();
  }

  /** All waiting messages try again in the same turn, so that they share a write. */
  function nextRound(): Promise<void> {
    pause ??= sleep(clock, backoff.failed(), closing.signal).finally(() => {
      pause = null;
    });
    return pause;
  }

  return {
    submit: (submission) => untilStored(keyed(submission)),
    close: () => closing.abort(),
  };
}

/** Another attempt would have the same result. */
const isPermanent = ({ code }: Problem): boolean => PROBLEM_STATUS[code] < 500;

const DEFECT: Problem = {
  code: "internal",
  message: "The server could not process the message; its log has the reason under this request id",
};

type Keyed = Submission & { readonly key: string };

/**
 * Gives a key to a message that has none. If the store's answer to a create is lost, its tasks may have been created, and the next
 * attempt finds them by the key. Keys are stored for a day, so they must be unique for a day. When keys were short random texts, two
 * of 50,000 were equal in every fourth run, and the second message was refused, or counted as the first one.
 */
const createKeys = (process: string) => {
  let count = 0;
  return (submission: Submission): Keyed => ({
    ...submission,
    key: submission.key ?? `unnamed ${process}-${++count}`,
  });
};
