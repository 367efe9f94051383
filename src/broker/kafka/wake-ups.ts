/**
 * Wake-ups by Kafka: a wake-up is a message on the topic `<prefix>.bells`; its value is the type of the task. All processes that
 * take the same types are one group, so that each wake-up reaches one of them.
 */
import { Consumer, type ConsumerOptions, type Message, type Producer } from "@platformatic/kafka";
import type { Clock } from "../../core/clock.ts";
import type { Log } from "../../lib/log.ts";
import { sleep } from "../../lib/waiting.ts";
import type { BrokerWakeUps } from "../../wakeup/wake-ups.ts";
import type { Disposition } from "../disposition.ts";
import { createBrokerWakeUps, type Inbox, type Receiver, WAKE_UP_LIVES_MS } from "../wake-ups.ts";
import { createCommits } from "./commits.ts";
import { ignoreLateErrors, onLostMembership } from "./errors.ts";

/** The limit of unacknowledged wake-ups in this process. Later ones in the partition wait. */
const UNACKED_AT_MOST = 20;
/** Leaving and joining a group stops all its members for a moment, so a process that is only busy stays in the group for this long. */
const IDLE_MS = 30_000;
const RETRY_MS = 1_000;

export type KafkaWakeUpsSetup = {
  readonly options: Pick<
    ConsumerOptions<Buffer, Buffer, Buffer, Buffer>,
    "clientId" | "bootstrapBrokers" | "sasl" | "tls"
  >;
  readonly producer: Producer;
  /** Creates the topic if it is missing. */
  readonly ready: () => Promise<unknown>;
  /** Reports a failure that a missing topic may have caused. */
  readonly doubt: () => void;
  readonly clock: Clock;
  readonly log: Log;
  /** The topic; the names of the groups begin with it. */
  readonly name: string;
};

export function createKafkaWakeUps(setup: KafkaWakeUpsSetup): BrokerWakeUps {
  const { producer, name } = setup;

  async function send(types: readonly string[]): Promise<void> {
    try {
      await setup.ready();
      const messages = types.map((type) => ({ topic: name, value: Buffer.from(type) }));
      await producer.send({ messages, acks: 1 });
    } catch (error) {
      setup.doubt();
      throw error;
    }
  }

  return createBrokerWakeUps(
    {
      broker: "Kafka",
      name,
      unit: "group",
      idleMs: IDLE_MS,
      send,
      receive: (inbox) => createReceiver(setup, inbox),
      close: async () => undefined,
    },
    setup,
  );
}

/** A member of the group until it is closed. It joins again after each failure. */
function createReceiver(setup: KafkaWakeUpsSetup, inbox: Inbox): Receiver {
  const { clock, name } = setup;
  const { unacked } = inbox;
  const stopping = new AbortController();
  const isOver = (): boolean => stopping.signal.aborted;
  let member: Consumer | null = null;
  let stream: Awaited<ReturnType<Consumer["consume"]>> | null = null;
  let acknowledged = Promise.withResolvers<void>();

  async function run(): Promise<void> {
    while (!isOver()) {
      await join().catch(interrupted);
      await sleep(clock, RETRY_MS, stopping.signal);
    }
  }

  async function join(): Promise<void> {
    await setup.ready();
    if (isOver()) return;
    const consumer = newConsumer(setup.options, inbox.name);
    onLostMembership(consumer, (error) => stream?.destroy(error));
    const commits = createCommits({ consumer, topic: name, onError: interrupted });
    try {
      stream = await consumer.consume({ topics: [name], mode: "committed", fallbackMode: "earliest" });
      member = consumer;
      if (isOver()) return;
      for await (const message of stream) {
        while (unacked.size >= UNACKED_AT_MOST && !isOver()) await acknowledged.promise;
        if (isOver()) continue; // reads the fetched messages to the end: if the loop ends earlier, the client reports an error
        commits.begin(message);
        void dispositionOf(message).then((disposition) => {
          if (disposition === "acknowledge") commits.end(message);
          acknowledged.resolve();
          acknowledged = Promise.withResolvers();
        });
      }
    } finally {
      member = null;
      stream = null;
      if (!isOver()) unacked.returnAll(); // after the end, the unacknowledged wake-ups belong to the next receiver
      await commits.finish();
      await consumer.close(true);
    }
  }

  /** A returned message is not committed: the next reader of the partition receives it again. */
  async function dispositionOf({ value, timestamp }: Message): Promise<Disposition> {
    const type = value?.toString() ?? "";
    if (Number(timestamp) < clock.now() - WAKE_UP_LIVES_MS) return "acknowledge";
    return inbox.concerns(type) ? unacked.add() : "acknowledge";
  }

  function interrupted(error: unknown): void {
    setup.doubt();
    inbox.interrupted(error);
  }

  const running = run();
  return {
    /** A group may have more members than the topic has partitions. A member without a partition receives nothing. */
    isLive: (): boolean => member?.assignments?.some(({ partitions }) => partitions.length > 0) ?? false,
    close: async (): Promise<void> => {
      stopping.abort();
      acknowledged.resolve();
      await stream?.close().catch(interrupted);
      await running;
    },
  };
}

const newConsumer = (options: KafkaWakeUpsSetup["options"], groupId: string): Consumer =>
  ignoreLateErrors(
    new Consumer({
      ...options,
      groupId,
      autocommit: false,
      sessionTimeout: 10_000,
      heartbeatInterval: 1_000,
      rebalanceTimeout: 10_000,
      heartbeatStallTimeout: 10_000, // the client's default is minutes
      maxWaitTime: 500,
    }),
  );
