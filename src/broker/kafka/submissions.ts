/** Tasks in by Kafka: the topic `tasktrack.submit`, read by one group of all processes. */
import { Consumer, findErrorBy, type Message, type Producer } from "@platformatic/kafka";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { sleep } from "../../lib/waiting.ts";
import { createSettling, type Take } from "../delivery.ts";
import type { Names } from "../names.ts";
import type { Submission, TaskInlet } from "../submissions.ts";
import { createCommits } from "./commits.ts";
import { ignoreLateErrors, onLostMembership } from "./errors.ts";
import type { KafkaConnection } from "./options.ts";

/** In hand at once; commits are shared, so this makes thousands a second and no more than so much memory. */
const IN_HAND = { messages: 1_000, bytes: 64 * 1_048_576 };
const RETRY_MS = 1_000;

export type KafkaInletSetup = {
  readonly connection: KafkaConnection;
  readonly names: Pick<Names, "submit" | "rejected" | "group">;
  readonly producer: Producer;
  /** Sees to it that the topics are there. */
  readonly ready: () => Promise<unknown>;
  /** Says that something failed for which a topic may be to blame. */
  readonly doubt: () => void;
  /** Sees to the same; says what tells this topic from another one of its name. */
  readonly topicId: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
};

type Stream = Awaited<ReturnType<Consumer["consume"]>>;

export function createKafkaInlet(setup: KafkaInletSetup): TaskInlet {
  const { clock, log, producer, names } = setup;
  const settling = createSettling({ publish: keep, isTooLarge, clock, log });
  const stopping = new AbortController();
  let isTroubled = false;
  let stream: Stream | null = null;
  let running: Promise<void> = Promise.resolve();

  async function run(take: Take): Promise<void> {
    while (!stopping.signal.aborted) {
      await session(take).catch(failed);
      await sleep(clock, RETRY_MS, stopping.signal);
    }
  }

  /** From joining the group to whatever ends it. What was in hand then comes again, and is known by its key. */
  async function session(take: Take): Promise<void> {
    const topicId = await setup.topicId();
    if (stopping.signal.aborted) return;
    const consumer = ignoreLateErrors(
      new Consumer({
        clientId: "tasktrack",
        groupId: names.group,
        ...setup.connection,
        autocommit: false,
        sessionTimeout: 10_000,
        heartbeatInterval: 3_000,
        maxWaitTime: 500,
      }),
    );
    onLostMembership(consumer, (error) => stream?.destroy(error));
    try {
      stream = await consumer.consume({
        topics: [names.submit],
        mode: "committed",
        fallbackMode: "earliest",
      });
      if (isTroubled) log.info("submissions_flow_again");
      isTroubled = false;
      await read(stream, createHand({ consumer, topicId, take }));
    } finally {
      stream = null;
      await consumer.close(true);
    }
  }

  async function read(from: Stream, hand: ReturnType<typeof createHand>): Promise<void> {
    try {
      if (stopping.signal.aborted) return;
      for await (const message of from) {
        await hand.room();
        if (stopping.signal.aborted) continue; // to the end of what has come: a stream that is left before calls that an error
        hand.add(message);
      }
    } finally {
      await hand.empty();
    }
  }

  type Session = { readonly consumer: Consumer; readonly topicId: string; readonly take: Take };

  /** The messages in hand: taken all at once, committed as far as there is no gap. */
  function createHand(own: Session) {
    const ending = new AbortController();
    const over = AbortSignal.any([stopping.signal, ending.signal]);
    const commits = createCommits({ consumer: own.consumer, topic: names.submit, onError: troubled });
    const inHand = new Set<Promise<void>>();
    let bytes = 0;

    function add(message: Message): void {
      commits.begin(message);
      bytes += sizeOf(message);
      const done = takeOne(message).finally(() => {
        bytes -= sizeOf(message);
        inHand.delete(done);
      });
      inHand.add(done);
    }

    async function takeOne(message: Message): Promise<void> {
      const submission = submissionOf(message, own.topicId);
      const settlement = await settling.settle(submission, own.take, over);
      if (settlement === "acknowledge") commits.end(message);
    }

    return {
      add,
      room: async () => {
        while (inHand.size >= IN_HAND.messages || bytes >= IN_HAND.bytes) await Promise.race(inHand);
      },
      /** Does not wait for rejections that cannot be stored: their partition may belong to another group member by now. */
      empty: async () => {
        ending.abort();
        await Promise.all(inHand);
        await commits.finish();
      },
    };
  }

  async function keep(rejection: Buffer): Promise<void> {
    await setup.ready();
    try {
      await producer.send({ messages: [{ topic: names.rejected, value: rejection }], acks: -1 });
    } catch (error) {
      setup.doubt();
      throw error;
    }
  }

  function failed(error: unknown): void {
    setup.doubt();
    troubled(error);
  }

  function troubled(error: unknown): void {
    if (!isTroubled && !stopping.signal.aborted)
      log.warn("submissions_interrupted", { error: errorText(error) });
    isTroubled = true;
  }

  return {
    consume: (take) => {
      running = run(take);
    },
    isInterrupted: () => isTroubled,
    close: async () => {
      stopping.abort();
      await stream?.close().catch(troubled);
      await running;
    },
  };
}

/** Of the topic's or the broker's own limit; another one may be set at any time, but not for one message. */
const isTooLarge = (error: unknown): boolean =>
  error instanceof Error && TOO_LARGE.some((id) => findErrorBy(error, "apiId", id) !== null);

const TOO_LARGE = ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"];

const sizeOf = ({ value }: Message): number => value?.length ?? 0;

/** What its producer calls it, or its place, which is its own for as long as the topic lives. */
function submissionOf(message: Message, topicId: string): Submission {
  const body = message.value ?? Buffer.alloc(0);
  const key = headerOf(message, "idempotency-key") ?? headerOf(message, "message-id");
  if (key !== null) return { body, key, scope: "kafka" };
  const place = `${message.topic}/${message.partition}/${message.offset}`;
  return { body, key: place, scope: `kafka:${topicId}` };
}

function headerOf({ headers }: Message, wanted: string): string | null {
  for (const [name, value] of headers) {
    if (name?.toString().toLowerCase() === wanted) return value?.toString() ?? null;
  }
  return null;
}
