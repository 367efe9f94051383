/** What becomes of a message that a broker has brought: one rule for all brokers. */
import type { Clock } from "../core/clock.ts";
import { backoffMs } from "../lib/backoff.ts";
import { errorText, type Log } from "../lib/log.ts";
import { sleep } from "../lib/waiting.ts";
import { rejectionOf, shortRejectionOf } from "./rejection.ts";
import type { Submission, Taken } from "./submissions.ts";

/**
 * `acknowledge`: its tasks are stored, or the broker keeps its rejection, or refuses even the shortest one for its length.
 * `return`: the delivery is over before that, and the message comes again.
 */
export type Settlement = "acknowledge" | "return";

export interface Settling {
  /**
   * Never rejects. What fails is tried again after a pause, here: a message that is returned at once comes back at once, and
   * RabbitMQ 4 drops one that has come back twenty times.
   * @param over aborts when the message can be acknowledged no more, or the process stops
   */
  settle(submission: Submission, take: Take, over: AbortSignal): Promise<Settlement>;
}

export type Take = (submission: Submission) => Promise<Taken>;

export type SettlingSetup = {
  /** Resolves when the broker keeps it among the rejected ones. */
  readonly publish: (rejection: Buffer, submission: Submission) => Promise<void>;
  /** Whether the broker has refused these bytes for their number, so that it will do so again. */
  readonly isTooLarge: (error: unknown, bytes: number) => boolean;
  readonly clock: Clock;
  readonly log: Log;
};

const RETRY = { firstMs: 1_000, longestMs: 10_000 };

export function createSettling({ publish, isTooLarge, clock, log }: SettlingSetup): Settling {
  let isTroubled = false;

  async function settle(submission: Submission, take: Take, over: AbortSignal): Promise<Settlement> {
    const taken = await untilDone(
      () => take(submission),
      over,
      (error) => log.error("submission_failed", { key: submission.key, error: errorText(error) }),
    );
    if (taken === null) return "return";
    return taken.kind === "accepted" ? "acknowledge" : reject(submission, taken.problem, over);
  }

  async function reject(submission: Submission, problem: string, over: AbortSignal): Promise<Settlement> {
    for (const write of [rejectionOf, shortRejectionOf]) {
      const rejection = Buffer.from(write(submission, problem));
      const isKept = await untilDone(() => publishIfTaken(rejection, submission), over, failed);
      if (isKept === null) return "return";
      if (isKept) return "acknowledge";
    }
    log.error("rejection_dropped", { rejection: shortRejectionOf(submission, problem) });
    return "acknowledge";
  }

  /** False where the broker refuses it for its length. */
  async function publishIfTaken(rejection: Buffer, submission: Submission): Promise<boolean> {
    try {
      await publish(rejection, submission);
    } catch (error) {
      if (!isTooLarge(error, rejection.length)) throw error;
      log.warn("rejection_too_large", { bytes: rejection.length, error: errorText(error) });
      return false;
    }
    if (isTroubled) log.info("rejections_go_on");
    isTroubled = false;
    return true;
  }

  /** However many rejections wait for its end, it is one event. */
  function failed(error: unknown): void {
    if (!isTroubled) log.warn("rejections_wait", { error: errorText(error) });
    isTroubled = true;
  }

  /** The first answer of an attempt; null once it is of no use any more. */
  async function untilDone<T>(
    attempt: () => Promise<T>,
    over: AbortSignal,
    onFailure: (error: unknown) => void,
  ): Promise<T | null> {
    for (let failures = 0; !over.aborted; failures++) {
      try {
        return await attempt();
      } catch (error) {
        if (!over.aborted) onFailure(error);
      }
      await sleep(clock, backoffMs(RETRY, failures), over);
    }
    return null;
  }

  return { settle };
}
