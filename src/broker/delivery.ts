import type { Clock } from "../core/clock.ts";
import { backoffMs } from "../lib/backoff.ts";
import { errorText, type Log } from "../lib/log.ts";
import { sleep } from "../lib/waiting.ts";
import type { Disposition } from "./disposition.ts";
import { rejectionOf, shortRejectionOf } from "./rejection.ts";
import type { Submission, Submit } from "./submissions.ts";

/** Delivers submissions to the engine, by the same rules for all brokers. */
export interface Delivery {
  /**
   * Submits the message, and publishes its rejection if it was rejected. Never rejects. A failed attempt is repeated here after a
   * pause, and the message is not returned: the broker delivers a returned message again at once, and RabbitMQ 4 drops a message
   * after twenty deliveries.
   *
   * `acknowledge`: the tasks are stored, or the rejection is published, or even the shortest form of the rejection is too large for
   * the broker.
   * `return`: `over` aborted before that.
   * @param over aborts when the message can no longer be acknowledged, or the process stops
   */
  deliver(submission: Submission, submit: Submit, over: AbortSignal): Promise<Disposition>;
}

export type DeliverySetup = {
  /** Publishes a rejection; resolves when the broker has confirmed it. */
  readonly publish: (rejection: Buffer, submission: Submission) => Promise<void>;
  /** Whether the broker refused a message because of its size. A repeated attempt would be refused too. */
  readonly isTooLarge: (error: unknown, bytes: number) => boolean;
  readonly clock: Clock;
  readonly log: Log;
};

const RETRY = { firstMs: 1_000, longestMs: 10_000 };

export function createDelivery({ publish, isTooLarge, clock, log }: DeliverySetup): Delivery {
  let isTroubled = false;

  async function deliver(submission: Submission, submit: Submit, over: AbortSignal): Promise<Disposition> {
    const result = await untilDone(
      () => submit(submission),
      over,
      (error) => log.error("submission_failed", { key: submission.key, error: errorText(error) }),
    );
    if (result === null) return "return";
    return result.kind === "accepted" ? "acknowledge" : reject(submission, result.problem, over);
  }

  async function reject(submission: Submission, problem: string, over: AbortSignal): Promise<Disposition> {
    for (const write of [rejectionOf, shortRejectionOf]) {
      const rejection = Buffer.from(write(submission, problem));
      const isPublished = await untilDone(() => publishUnlessTooLarge(rejection, submission), over, failed);
      if (isPublished === null) return "return";
      if (isPublished) return "acknowledge";
    }
    log.error("rejection_dropped", { rejection: shortRejectionOf(submission, problem) });
    return "acknowledge";
  }

  /** False if the broker refuses the rejection because of its size. */
  async function publishUnlessTooLarge(rejection: Buffer, submission: Submission): Promise<boolean> {
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

  /** Logs each outage once, not once for each rejection that waits for its end. */
  function failed(error: unknown): void {
    if (!isTroubled) log.warn("rejections_wait", { error: errorText(error) });
    isTroubled = true;
  }

  /** The result of the first attempt that does not fail; null once `over` has aborted. */
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

  return { deliver };
}
