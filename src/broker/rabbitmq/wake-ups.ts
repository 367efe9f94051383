/**
 * Wake-ups by RabbitMQ: a bell is a message without a body on the topic exchange `tasktrack.bells`, under the task's type. All
 * processes that take the same types share a queue, so that each bell wakes one of them.
 */
import type { Connection, Consumer } from "rabbitmq-client";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import type { Bell, BrokerBells } from "../../wakeup/wake-ups.ts";
import { createHand } from "../unacked.ts";
import {
  BELL_LIVES_MS,
  bellsFor,
  createBellFilter,
  createSubscriptions,
  nameOfSet,
  type Subscription,
  UNCONFIRMED_AT_MOST,
} from "../wake-ups.ts";

const QUEUE_LIVES_MS = 24 * 3_600_000;
const BELLS_AT_MOST = 10_000;
/** Bells of one process at a time: enough for a claim, few enough to leave others theirs. */
const PREFETCH = 20;
/** Pools are without a free slot for a moment all the time. */
const SILENT_MS = 100;

const ACKNOWLEDGE = 0;
const RETURN = 1;

/** A bell is not worth a write to a disk: the queue survives a restart of the server, what is in it need not. */
const queueOptions = {
  durable: true,
  arguments: { "x-expires": QUEUE_LIVES_MS, "x-max-length": BELLS_AT_MOST },
};

export type RabbitmqBellsSetup = {
  /** The server stops reading from who publishes while it is short of memory or disk, so who listens has a connection of its own. */
  readonly publishing: Connection;
  readonly listening: Connection;
  readonly clock: Clock;
  readonly log: Log;
  /** The exchange, and what the names of the queues begin with. */
  readonly name: string;
};

export function createRabbitmqBells(setup: RabbitmqBellsSetup): BrokerBells {
  const { publishing, listening, clock, log, name } = setup;
  const exchange = { exchange: name, type: "topic", durable: true };
  const publisher = publishing.createPublisher({ confirm: true, exchanges: [exchange] });
  const concerns = createBellFilter(log);
  const subscriptions = createSubscriptions(subscribe);
  let unconfirmed = 0;
  let isClosed = false;

  async function ring(types: readonly string[]): Promise<void> {
    const bells = bellsFor(types);
    if (bells.length === 0 || isClosed) return;
    // The client would keep what comes meanwhile and send it when it is of no use any more.
    if (!publishing.ready) throw new Error("RabbitMQ is away, or takes nothing");
    if (unconfirmed >= UNCONFIRMED_AT_MOST) throw new Error("RabbitMQ does not confirm");
    unconfirmed += bells.length;
    const sent = bells.map((type) =>
      publisher.send({ exchange: name, routingKey: type, expiration: String(BELL_LIVES_MS) }, NOTHING),
    );
    const answers = await Promise.allSettled(sent);
    unconfirmed -= bells.length;
    for (const answer of answers) if (answer.status === "rejected") throw answer.reason;
  }

  function subscribe(types: readonly string[]): Subscription {
    const queue = nameOfSet(name, types);
    // Who had no more slots a moment ago mostly has one again; who has none for longer holds no bell.
    const hand = createHand({ clock, silentMs: SILENT_MS, onSilence: () => void end() });
    let consumer: Consumer | null = null;
    let isReady = false;

    function hear(signal: AbortSignal): Promise<Bell | null> {
      consumer ??= consume();
      return hand.hear(signal);
    }

    function consume(): Consumer {
      const current = listening.createConsumer(
        {
          queue,
          queueOptions,
          exchanges: [exchange],
          queueBindings: types.map((type) => ({ exchange: name, queue, routingKey: bindingOf(type) })),
          qos: { prefetchCount: PREFETCH },
        },
        ({ routingKey }) => (current === consumer ? bellCame(routingKey) : RETURN),
      );
      current.on("ready", () => {
        isReady = current === consumer;
      });
      // The client comes back by itself.
      current.on("error", (error) => {
        if (current === consumer) isReady = false;
        interrupted(error);
      });
      return current;
    }

    const interrupted = (error: unknown): void =>
      log.debug("bells_interrupted", { queue, error: errorText(error) });

    async function bellCame(type: string): Promise<number> {
      if (!concerns(types, type)) return ACKNOWLEDGE;
      return (await hand.take()) === "answered" ? ACKNOWLEDGE : RETURN;
    }

    /** Its consumer is told of nothing when the connection is lost, and asks for bells again only a while after that is back. */
    const connected = (): void => {
      isReady = false;
    };
    listening.on("connection", connected);

    /** A connection that is lost meanwhile has ended it, too. */
    async function end(): Promise<void> {
      const ended = consumer;
      consumer = null;
      isReady = false;
      hand.putBack();
      await ended?.close().catch(interrupted);
    }

    return {
      hear,
      isLive: () => isReady && listening.ready,
      close: () => {
        listening.off("connection", connected);
        hand.close();
        return end();
      },
    };
  }

  return {
    ring,
    hear: subscriptions.hear,
    isLive: subscriptions.isLive,
    close: async () => {
      isClosed = true;
      await subscriptions.close();
      await publisher.close();
    },
  };
}

const NOTHING = Buffer.alloc(0);

/** What a pattern of AMQP cannot say, such as a prefix within a word, is let by when it comes. */
function bindingOf(pattern: string): string {
  if (!pattern.endsWith("*")) return pattern;
  const words = pattern.slice(0, -1).split(".").slice(0, -1);
  return [...words, "#"].join(".");
}
