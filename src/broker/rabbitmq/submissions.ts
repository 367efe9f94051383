/** Submissions by RabbitMQ: published to the exchange `<prefix>.submit` with any routing key, or directly to the queue of that name. */
import type { AsyncMessage, Connection, Consumer } from "rabbitmq-client";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../lib/log.ts";
import { errorText } from "../../lib/log.ts";
import { createDelivery } from "../delivery.ts";
import type { Names } from "../names.ts";
import type { Submission, Submissions, Submit } from "../submissions.ts";
import { withRawBodies } from "./raw-bodies.ts";
import { replyOf } from "./replies.ts";

/** RabbitMQ limits messages, not bytes: 200 of the largest size have 200 MiB. 200 are fast enough, because their creates share writes. */
const PREFETCH = 200;
/** The server has stored a message once it has confirmed it; a quorum queue also survives the loss of a node. */
const STORED = { durable: true, arguments: { "x-queue-type": "quorum" } } as const;

export function createRabbitmqSubmissions(setup: {
  readonly publishing: Connection;
  readonly listening: Connection;
  readonly names: Pick<Names, "submissions" | "rejections">;
  readonly clock: Clock;
  readonly log: Log;
}): Submissions {
  const { publishing, listening, names, clock, log } = setup;
  const rejections = publishing.createPublisher({
    confirm: true,
    queues: [{ queue: names.rejections, ...STORED }],
  });
  const delivery = createDelivery({
    publish,
    isTooLarge: (_, bytes) => bytes > bytesAtMost,
    clock,
    log,
  });
  let bytesAtMost = Number.POSITIVE_INFINITY; // the limit that the server has reported, if any
  let over = new AbortController(); // of all deliveries under way
  let consumer: Consumer | null = null;
  let isClosed = false;
  let isTroubled = false;

  function consume(submit: Submit): void {
    if (isClosed) return;
    listening.on("error", endDeliveries);
    publishing.on("connection", forgetLimit);
    consumer = withRawBodies(listening).createConsumer(
      {
        queue: names.submissions,
        queueOptions: STORED,
        exchanges: [{ exchange: names.submissions, type: "fanout", durable: true }],
        queueBindings: [{ exchange: names.submissions, routingKey: "", queue: names.submissions }],
        qos: { prefetchCount: PREFETCH },
      },
      async (message) => replyOf(await delivery.deliver(submissionOf(message), submit, over.signal)),
    );
    consumer.on("error", (error) => {
      troubled(error);
      endDeliveries();
    });
    consumer.on("ready", () => {
      if (isTroubled) log.info("submissions_flow_again");
      isTroubled = false;
    });
  }

  /**
   * If a message is too large, the server closes the channel, and all unconfirmed messages on it fail. The client reports the reason
   * to the first of them, even if another one was too large. So the limit is stored, and no message above it is sent again.
   */
  async function publish(rejection: Buffer, submission: Submission): Promise<void> {
    if (rejection.length > bytesAtMost) throw new Error(`RabbitMQ takes ${bytesAtMost} bytes at most`);
    const envelope = { routingKey: names.rejections, durable: true, contentType: "application/json" };
    try {
      await rejections.send({ ...envelope, ...messageIdOf(submission) }, rejection);
    } catch (error) {
      bytesAtMost = limitIn(error) ?? bytesAtMost;
      throw error;
    }
  }

  /** After a restart the server may have another limit. */
  function forgetLimit(): void {
    bytesAtMost = Number.POSITIVE_INFINITY;
  }

  /** The unfinished messages can no longer be acknowledged, and the client consumes again only after all of them have ended. */
  function endDeliveries(): void {
    over.abort();
    if (!isClosed) over = new AbortController();
  }

  /** Logged once: the client tries again by itself, and reports a broken connection for each message that was under way. */
  function troubled(error: unknown): void {
    if (!isTroubled && !isClosed) log.warn("submissions_interrupted", { error: errorText(error) });
    isTroubled = true;
  }

  return {
    consume,
    isInterrupted: () => isTroubled,
    close: async () => {
      isClosed = true;
      listening.off("error", endDeliveries);
      publishing.off("connection", forgetLimit);
      endDeliveries();
      await consumer?.close();
      await rejections.close();
    },
  };
}

function limitIn(error: unknown): number | null {
  const [, bytes] = /larger than configured max size (\d+)/.exec(errorText(error)) ?? [];
  return bytes === undefined ? null : Number(bytes);
}

/** Omits an id that is not ASCII: the client would cut it off within a character. The rejection's body contains the id. */
const messageIdOf = ({ key }: Submission) =>
  key !== null && /^[\x20-\x7e]{1,255}$/.test(key) ? { messageId: key } : {};

const submissionOf = ({ body, messageId }: AsyncMessage): Submission => ({
  body: body as Uint8Array, // because of withRawBodies
  key: messageId ?? null,
  scope: "amqp",
});
