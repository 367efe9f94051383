/**
 * Wake-ups by Kafka: a bell is a message on the topic `tasktrack.bells` whose value is the task's type. All processes that take the
 * same types are one group, so that each bell wakes one of them.
 */
import { Consumer, type ConsumerOptions, type Message, type Producer } from "@platformatic/kafka";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { sleep } from "../../lib/waiting.ts";
import type { Bell, BrokerBells } from "../../wakeup/wake-ups.ts";
import { createHand, type Fate } from "../unacked.ts";
import {
  BELL_LIVES_MS,
  bellsFor,
  createBellFilter,
  createSubscriptions,
  nameOfSet,
  type Subscription,
  UNCONFIRMED_AT_MOST,
} from "../wake-ups.ts";
import { createCommits } from "./commits.ts";
import { onLostMembership, withstand } from "./errors.ts";

/** In hand at once; the rest of a partition waits behind them. */
const HELD_AT_MOST = 20;
/** To leave the group and to join it again halts all of its members for a moment, so who is busy for a while stays. */
const SILENT_MS = 30_000;
const RETRY_MS = 1_000;

export type KafkaBellsSetup = {
  readonly options: Pick<
    ConsumerOptions<Buffer, Buffer, Buffer, Buffer>,
    "clientId" | "bootstrapBrokers" | "sasl" | "tls"
  >;
  readonly producer: Producer;
  /** Sees to it that the topic is there. */
  readonly ready: () => Promise<unknown>;
  /** Says that something failed for which the topic may be to blame. */
  readonly doubt: () => void;
  readonly clock: Clock;
  readonly log: Log;
  /** The topic, and what the names of the groups begin with. */
  readonly name: string;
};

export function createKafkaBells(setup: KafkaBellsSetup): BrokerBells {
  const { producer, clock, log, name } = setup;
  const concerns = createBellFilter(log);
  const subscriptions = createSubscriptions(subscribe);
  let unconfirmed = 0;
  let isClosed = false;

  async function ring(types: readonly string[]): Promise<void> {
    const bells = bellsFor(types);
    if (bells.length === 0 || isClosed) return;
    if (unconfirmed >= UNCONFIRMED_AT_MOST) throw new Error("Kafka does not confirm");
    unconfirmed += bells.length;
    try {
      await setup.ready();
      const messages = bells.map((type) => ({ topic: name, value: Buffer.from(type) }));
      await producer.send({ messages, acks: 1 });
    } catch (error) {
      setup.doubt();
      throw error;
    } finally {
      unconfirmed -= bells.length;
    }
  }

  function subscribe(types: readonly string[]): Subscription {
    const hand = createHand({ clock, silentMs: SILENT_MS, onSilence: () => void end() });
    let current: Session | null = null;

    function hear(signal: AbortSignal): Promise<Bell | null> {
      current ??= createSession(types, hand);
      return hand.hear(signal);
    }

    async function end(): Promise<void> {
      const ended = current;
      current = null;
      hand.putBack();
      await ended?.close();
    }

    return {
      hear,
      isLive: () => current?.isLive() ?? false,
      close: () => {
        hand.close();
        return end();
      },
    };
  }

  type Session = ReturnType<typeof createSession>;

  /** A member of the group from now until it is closed, as often as it has to join again. */
  function createSession(types: readonly string[], hand: ReturnType<typeof createHand>) {
    const stopping = new AbortController();
    let isOver = false;
    let consumer: Consumer | null = null;
    let stream: Awaited<ReturnType<Consumer["consume"]>> | null = null;
    let room = Promise.withResolvers<void>();

    async function run(): Promise<void> {
      while (!isOver) {
        await join().catch(interrupted);
        await sleep(clock, RETRY_MS, stopping.signal);
      }
    }

    async function join(): Promise<void> {
      await setup.ready();
      if (isOver) return;
      const member = withstand(
        new Consumer({
          ...setup.options,
          groupId: nameOfSet(name, types),
          autocommit: false,
          sessionTimeout: 10_000,
          heartbeatInterval: 1_000,
          rebalanceTimeout: 10_000,
          heartbeatStallTimeout: 10_000, // the client's own is minutes
          maxWaitTime: 500,
        }),
      );
      onLostMembership(member, (error) => stream?.destroy(error));
      const commits = createCommits({ consumer: member, topic: name, onError: interrupted });
      try {
        stream = await member.consume({ topics: [name], mode: "committed", fallbackMode: "earliest" });
        consumer = member;
        if (isOver) return;
        for await (const message of stream) {
          while (hand.size >= HELD_AT_MOST && !isOver) await room.promise;
          if (isOver) continue; // to the end of what has come: a stream that is left before calls that an error
          commits.begin(message);
          void fateOf(message).then((fate) => {
            if (fate === "answered") commits.end(message);
            room.resolve();
            room = Promise.withResolvers();
          });
        }
      } finally {
        consumer = null;
        stream = null;
        if (!isOver) hand.putBack(); // else it was done at the end, and what is in the hand is the next session's
        await commits.finish();
        await member.close(true);
      }
    }

    /** One that is returned is not committed: who gets the partition next reads it again. */
    async function fateOf({ value, timestamp }: Message): Promise<Fate> {
      const type = value?.toString() ?? "";
      if (Number(timestamp) < clock.now() - BELL_LIVES_MS) return "answered";
      if (!concerns(types, type)) return "answered";
      return hand.take();
    }

    function interrupted(error: unknown): void {
      setup.doubt();
      log.debug("bells_interrupted", { group: nameOfSet(name, types), error: errorText(error) });
    }

    const running = run();
    return {
      /** A group may have more members than the topic has partitions: who has none hears nothing. */
      isLive: (): boolean => consumer?.assignments?.some(({ partitions }) => partitions.length > 0) ?? false,
      close: async (): Promise<void> => {
        isOver = true;
        stopping.abort();
        room.resolve();
        await stream?.close().catch(interrupted);
        await running;
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
    },
  };
}
