/** Submissions by Kafka: the topic `<prefix>.submit`. All processes that read it are one group. */
import { Consumer, findErrorBy, type Message, type Producer } from "@platformatic/kafka";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { linkedAbort, sleep } from "../../lib/waiting.ts";
import { createDelivery, type Delivery } from "../delivery.ts";
import type { Names } from "../names.ts";
import type { Submission, Submissions, Submit } from "../submissions.ts";
import { createCommits } from "./commits.ts";
import { ignoreLateErrors, onLostMembership } from "./errors.ts";
import type { KafkaConnection } from "./options.ts";

/** Messages that are processed at the same time. They share writes, so this allows thousands a second; it also bounds the memory. */
const UNDER_WAY_AT_MOST = { messages: 1_000, bytes: 64 * 1_048_576 };
const RETRY_MS = 1_000;

export type KafkaSubmissionsSetup = {
  readonly connection: KafkaConnection;
  readonly names: Pick<Names, "submissions" | "rejections" | "submissionsGroup">;
  readonly producer: Producer;
  /** Creates the topics if they are missing. */
  readonly ready: () => Promise<unknown>;
  /** Reports a failure that a missing topic may have caused. */
  readonly doubt: () => void;
  /**
   * Creates missing topics; resolves with the id of the topic of submissions. A topic that is deleted and created again has
   * another id.
   */
  readonly topicId: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Log;
};

type Stream = Awaited<ReturnType<Consumer["consume"]>>;

export function createKafkaSubmissions(setup: KafkaSubmissionsSetup): Submissions {
  const { clock, log, producer, names } = setup;
  const delivery = createDelivery({ publish, isTooLarge, clock, log });
  const stopping = new AbortController();
  let isTroubled = false;
  let stream: Stream | null = null;
  let running: Promise<void> = Promise.resolve();

  async function run(submit: Submit): Promise<void> {
    while (!stopping.signal.aborted) {
      await session(submit).catch(failed);
      await sleep(clock, RETRY_MS, stopping.signal);
    }
  }

  /**
   * One membership of the group. Messages that have not ended before its end are read again. Their keys are stored by then, so they
   * create no second task.
   */
  async function session(submit: Submit): Promise<void> {
    const topicId = await setup.topicId();
    if (stopping.signal.aborted) return;
    const consumer = newConsumer(setup);
    onLostMembership(consumer, (error) => stream?.destroy(error));
    const commits = createCommits({ consumer, topic: names.submissions, onError: troubled });
    try {
      stream = await consumer.consume({
        topics: [names.submissions],
        mode: "committed",
        fallbackMode: "earliest",
      });
      if (isTroubled) log.info("submissions_flow_again");
      isTroubled = false;
      await read(stream, createUnderWay({ delivery, commits, topicId, submit, stopping: stopping.signal }));
    } finally {
      stream = null;
      await consumer.close(true);
    }
  }

  async function read(from: Stream, underWay: UnderWay): Promise<void> {
    try {
      if (stopping.signal.aborted) return;
      for await (const message of from) {
        await underWay.room();
        if (stopping.signal.aborted) continue; // reads the fetched messages to the end: if the loop ends earlier, the client reports an error
        underWay.add(message);
      }
    } finally {
      await underWay.end();
    }
  }

  async function publish(rejection: Buffer): Promise<void> {
    await setup.ready();
    try {
      await producer.send({ messages: [{ topic: names.rejections, value: rejection }], acks: -1 });
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
    consume: (submit) => {
      running = run(submit);
    },
    isInterrupted: () => isTroubled,
    close: async () => {
      stopping.abort();
      await stream?.close().catch(troubled);
      await running;
    },
  };
}

const newConsumer = ({ connection, names }: KafkaSubmissionsSetup): Consumer =>
  ignoreLateErrors(
    new Consumer({
      clientId: "tasktrack",
      groupId: names.submissionsGroup,
      ...connection,
      autocommit: false,
      sessionTimeout: 10_000,
      heartbeatInterval: 3_000,
      maxWaitTime: 500,
    }),
  );

type UnderWay = ReturnType<typeof createUnderWay>;

/**
 * The messages of one session that are being delivered, at the same time. A commit ends before the first message that is not
 * delivered.
 */
function createUnderWay(session: {
  readonly delivery: Delivery;
  readonly commits: ReturnType<typeof createCommits>;
  readonly topicId: string;
  readonly submit: Submit;
  readonly stopping: AbortSignal;
}) {
  const { delivery, commits } = session;
  const over = linkedAbort(session.stopping);
  const deliveries = new Set<Promise<void>>();
  let bytes = 0;

  function add(message: Message): void {
    commits.begin(message);
    bytes += sizeOf(message);
    const done = deliver(message).finally(() => {
      bytes -= sizeOf(message);
      deliveries.delete(done);
    });
    deliveries.add(done);
  }

  async function deliver(message: Message): Promise<void> {
    const submission = submissionOf(message, session.topicId);
    const disposition = await delivery.deliver(submission, session.submit, over.signal);
    if (disposition === "acknowledge") commits.end(message);
  }

  return {
    add,
    room: async () => {
      const { messages, bytes: bytesAtMost } = UNDER_WAY_AT_MOST;
      while (deliveries.size >= messages || bytes >= bytesAtMost) await Promise.race(deliveries);
    },
    /** Does not wait for rejections that cannot be published: another member of the group may have the partition already. */
    end: async () => {
      over.abort();
      over.unlink();
      await Promise.all(deliveries);
      await commits.finish();
    },
  };
}

/** The limit is that of the topic or of the broker. It may be raised later, but TaskTrack does not keep a message until then. */
const isTooLarge = (error: unknown): boolean =>
  error instanceof Error && TOO_LARGE.some((id) => findErrorBy(error, "apiId", id) !== null);

const TOO_LARGE = ["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"];

const sizeOf = ({ value }: Message): number => value?.length ?? 0;

/** The key is the id from the producer. Without one it is the position in the topic, which is unique as long as the topic exists. */
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
