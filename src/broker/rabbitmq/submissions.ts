/** Tasks in by RabbitMQ: publish to the exchange `tasktrack.submit` under any routing key, or straight to the queue of that name. */
import type { AsyncMessage, Connection, Consumer } from "rabbitmq-client";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../lib/log.ts";
import { errorText } from "../../lib/log.ts";
import { createSettling, type Take } from "../delivery.ts";
import type { Names } from "../names.ts";
import type { Submission, TaskInlet } from "../submissions.ts";
import { withRawBodies } from "./raw-bodies.ts";

/** The server counts messages, not bytes: of the longest that are taken, 200 MiB. Commits are shared, so it is no brake. */
const PREFETCH = 200;
/** Where the server is there, it has kept what a producer was told it has; quorum queues are what survives a node, too. */
const KEPT = { durable: true, arguments: { "x-queue-type": "quorum" } } as const;

/** The client's words for what becomes of a message. */
const ACKNOWLEDGE = 0;
const RETURN = 1;

export function createRabbitmqInlet(setup: {
  readonly publishing: Connection;
  readonly listening: Connection;
  readonly names: Pick<Names, "submit" | "rejected">;
  readonly clock: Clock;
  readonly log: Log;
}): TaskInlet {
  const { publishing, listening, names, clock, log } = setup;
  const rejected = publishing.createPublisher({
    confirm: true,
    queues: [{ queue: names.rejected, ...KEPT }],
  });
  const settling = createSettling({
    publish,
    isTooLarge: (_, bytes) => bytes > takesBytes,
    clock,
    log,
  });
  let takesBytes = Number.POSITIVE_INFINITY; // as far as the server has said
  let delivery = new AbortController();
  let consumer: Consumer | null = null;
  let isClosed = false;
  let isTroubled = false;

  function consume(take: Take): void {
    if (isClosed) return;
    listening.on("error", endDelivery);
    publishing.on("connection", forgetLimit);
    consumer = withRawBodies(listening).createConsumer(
      {
        queue: names.submit,
        queueOptions: KEPT,
        exchanges: [{ exchange: names.submit, type: "fanout", durable: true }],
        queueBindings: [{ exchange: names.submit, routingKey: "", queue: names.submit }],
        qos: { prefetchCount: PREFETCH },
      },
      (message) => settle(submissionOf(message), take),
    );
    consumer.on("error", (error) => {
      troubled(error);
      endDelivery();
    });
    consumer.on("ready", () => {
      if (isTroubled) log.info("submissions_flow_again");
      isTroubled = false;
    });
  }

  async function settle(submission: Submission, take: Take): Promise<number> {
    const settlement = await settling.settle(submission, take, delivery.signal);
    return settlement === "acknowledge" ? ACKNOWLEDGE : RETURN;
  }

  /**
   * If a message is too large, the server closes the channel, and all unconfirmed messages on it fail. The client reports the reason
   * to the first of them, even if another one was too large. So the limit is remembered, and no longer message is sent again.
   */
  async function publish(rejection: Buffer, submission: Submission): Promise<void> {
    if (rejection.length > takesBytes) throw new Error(`RabbitMQ takes ${takesBytes} bytes at most`);
    const envelope = { routingKey: names.rejected, durable: true, contentType: "application/json" };
    try {
      await rejected.send({ ...envelope, ...named(submission) }, rejection);
    } catch (error) {
      takesBytes = limitIn(error) ?? takesBytes;
      throw error;
    }
  }

  /** A server that was restarted may have another one. */
  function forgetLimit(): void {
    takesBytes = Number.POSITIVE_INFINITY;
  }

  /** What is in hand cannot be acknowledged any more, and the client begins anew only when nothing is. */
  function endDelivery(): void {
    delivery.abort();
    if (!isClosed) delivery = new AbortController();
  }

  /** The client tries again by itself; each message that was in hand when the connection broke says so, too. */
  function troubled(error: unknown): void {
    if (!isTroubled && !isClosed) log.warn("submissions_interrupted", { error: errorText(error) });
    isTroubled = true;
  }

  return {
    consume,
    isInterrupted: () => isTroubled,
    close: async () => {
      isClosed = true;
      listening.off("error", endDelivery);
      publishing.off("connection", forgetLimit);
      endDelivery();
      await consumer?.close();
      await rejected.close();
    },
  };
}

function limitIn(error: unknown): number | null {
  const [, bytes] = /larger than configured max size (\d+)/.exec(errorText(error)) ?? [];
  return bytes === undefined ? null : Number(bytes);
}

/** What no producer should have sent as an id is in the rejection alone: the client would cut it off within a character. */
const named = ({ key }: Submission) =>
  key !== null && /^[\x20-\x7e]{1,255}$/.test(key) ? { messageId: key } : {};

const submissionOf = ({ body, messageId }: AsyncMessage): Submission => ({
  body: body as Uint8Array, // withRawBodies
  key: messageId ?? null,
  scope: "amqp",
});
