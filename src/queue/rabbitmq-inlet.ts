/** Tasks in by RabbitMQ: publish to the exchange `tasktrack.submit` under any routing key, or straight to the queue of that name. */
import type { AsyncMessage, Connection, Consumer } from "rabbitmq-client";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../lib/log.ts";
import { errorText } from "../lib/log.ts";
import type { Submission, Taken, TaskInlet } from "./inlet.ts";
import type { Names } from "./names.ts";
import { rejectionOf } from "./rejection.ts";

/** The server counts messages, not bytes: of the longest that are taken, 200 MiB. Commits are shared, so it is no brake. */
const PREFETCH = 200;
/** Where the server is there, it has kept what a producer was told it has; quorum queues are what survives a node, too. */
const KEPT = { durable: true, arguments: { "x-queue-type": "quorum" } } as const;

/** Where refusals cannot be kept, a message that is returned at once comes back at once, thousands of times a second. */
const RETURN_AFTER_MS = 1_000;

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
  const stopping = Promise.withResolvers<void>();
  let consumer: Consumer | null = null;
  let isClosed = false;
  let isTroubled = false;

  function consume(take: (submission: Submission) => Promise<Taken>): void {
    if (isClosed) return;
    consumer = listening.createConsumer(
      {
        queue: names.submit,
        queueOptions: KEPT,
        exchanges: [{ exchange: names.submit, type: "fanout", durable: true }],
        queueBindings: [{ exchange: names.submit, routingKey: "", queue: names.submit }],
        qos: { prefetchCount: PREFETCH },
      },
      (message) => takeOne(submissionOf(message), take),
    );
    consumer.on("error", troubled);
    consumer.on("ready", () => {
      if (isTroubled) log.info("submissions_flow_again");
      isTroubled = false;
    });
  }

  /** A refusal that cannot be kept is no end of the message: it stays with the broker, and comes again. */
  async function takeOne(
    submission: Submission,
    take: (submission: Submission) => Promise<Taken>,
  ): Promise<number> {
    try {
      const taken = await take(submission);
      if (taken.kind === "rejected") await reject(submission, taken.problem);
      return ACKNOWLEDGE;
    } catch (error) {
      troubled(error);
      if (!isClosed) await Promise.race([pause(), stopping.promise]);
      return RETURN;
    }
  }

  const reject = (submission: Submission, problem: string): Promise<void> =>
    rejected.send(
      { routingKey: names.rejected, durable: true, contentType: "application/json", ...named(submission) },
      Buffer.from(rejectionOf(submission, problem)),
    );

  /** The client tries again by itself; each message that was in hand when the connection broke says so, too. */
  function troubled(error: unknown): void {
    if (!isTroubled && !isClosed) log.warn("submissions_interrupted", { error: errorText(error) });
    isTroubled = true;
  }

  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      clock.after(RETURN_AFTER_MS, resolve);
    });

  return {
    consume,
    close: async () => {
      isClosed = true;
      stopping.resolve();
      await consumer?.close();
      await rejected.close();
    },
  };
}

const named = ({ key }: Submission) => (key === null ? {} : { messageId: key });

const submissionOf = (message: AsyncMessage): Submission => ({
  body: bytesOf(message),
  key: message.messageId ?? null,
  scope: "amqp",
});

/** The client has parsed what calls itself JSON and decoded what calls itself text; whatever else comes as it was sent. */
function bytesOf({ body, contentType }: AsyncMessage): Uint8Array {
  const said: unknown = body;
  if (said instanceof Uint8Array) return said;
  const text = contentType === "text/plain" ? String(said) : JSON.stringify(said);
  return Buffer.from(text);
}
