/**
 * Wake-ups by RabbitMQ: a wake-up is a message without a body on the topic exchange `<prefix>.bells`; its routing key is the type
 * of the task. All processes that take the same types share a queue, so that each wake-up reaches one of them.
 */
import type { Connection } from "rabbitmq-client";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../lib/log.ts";
import type { BrokerWakeUps } from "../../wakeup/wake-ups.ts";
import type { Disposition } from "../disposition.ts";
import { createBrokerWakeUps, type Inbox, type Receiver, WAKE_UP_LIVES_MS } from "../wake-ups.ts";
import { replyOf } from "./replies.ts";

const QUEUE_LIVES_MS = 24 * 3_600_000;
const QUEUE_LENGTH_AT_MOST = 10_000;
/** Wake-ups delivered to one process at a time: enough for a claim, and most are left for other processes. */
const PREFETCH = 20;
/** A process often has no free slot for a moment. If it has none for longer than this, it returns its wake-ups. */
const IDLE_MS = 100;

/** The queue survives a restart of the server, but its messages are not written to disk: a lost wake-up costs only latency. */
const queueOptions = {
  durable: true,
  arguments: { "x-expires": QUEUE_LIVES_MS, "x-max-length": QUEUE_LENGTH_AT_MOST },
};

export type RabbitmqWakeUpsSetup = {
  /** While the server is short of memory or disk, it reads nothing from a connection that publishes. So there are two connections. */
  readonly publishing: Connection;
  readonly listening: Connection;
  readonly clock: Clock;
  readonly log: Log;
  /** The exchange; the names of the queues begin with it. */
  readonly name: string;
};

export function createRabbitmqWakeUps(setup: RabbitmqWakeUpsSetup): BrokerWakeUps {
  const { publishing, listening, name } = setup;
  const exchange = { exchange: name, type: "topic", durable: true };
  const publisher = publishing.createPublisher({ confirm: true, exchanges: [exchange] });

  async function send(types: readonly string[]): Promise<void> {
    // The client would keep the messages until it is connected, and send them when they are useless.
    if (!publishing.ready) throw new Error("RabbitMQ is away, or accepts no messages");
    const sent = types.map((type) =>
      publisher.send({ exchange: name, routingKey: type, expiration: String(WAKE_UP_LIVES_MS) }, NOTHING),
    );
    for (const confirm of await Promise.allSettled(sent))
      if (confirm.status === "rejected") throw confirm.reason;
  }

  function receive(inbox: Inbox): Receiver {
    const queue = inbox.name;
    let isReady = false;
    let isOver = false;

    const consumer = listening.createConsumer(
      {
        queue,
        queueOptions,
        exchanges: [exchange],
        queueBindings: inbox.types.map((type) => ({ exchange: name, queue, routingKey: bindingOf(type) })),
        qos: { prefetchCount: PREFETCH },
      },
      async ({ routingKey }) => replyOf(await dispositionOf(routingKey)),
    );
    consumer.on("ready", () => {
      isReady = !isOver;
    });
    consumer.on("error", (error) => {
      isReady = false; // the client connects again
      inbox.interrupted(error);
    });
    listening.on("connection", connected);

    async function dispositionOf(type: string): Promise<Disposition> {
      if (isOver) return "return";
      return inbox.concerns(type) ? inbox.unacked.add() : "acknowledge";
    }

    /** The consumer does not report a lost connection. It consumes again some time after the connection is back. */
    function connected(): void {
      isReady = false;
    }

    return {
      isLive: () => isReady && listening.ready,
      close: async () => {
        isOver = true;
        isReady = false;
        listening.off("connection", connected);
        await consumer.close().catch(inbox.interrupted); // it fails if the connection is lost, which also ends the consumer
      },
    };
  }

  return createBrokerWakeUps(
    {
      broker: "RabbitMQ",
      name,
      unit: "queue",
      idleMs: IDLE_MS,
      send,
      receive,
      close: () => publisher.close(),
    },
    setup,
  );
}

const NOTHING = Buffer.alloc(0);

/** An AMQP binding matches whole words only. For a prefix that ends within a word it matches too much; the receiver filters that. */
function bindingOf(pattern: string): string {
  if (!pattern.endsWith("*")) return pattern;
  const words = pattern.slice(0, -1).split(".").slice(0, -1);
  return [...words, "#"].join(".");
}
