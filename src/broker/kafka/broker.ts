import { Admin, Producer } from "@platformatic/kafka";
import type { BrokerState } from "../../core/broker.ts";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import type { Broker } from "../broker.ts";
import { ignoreLateErrors } from "./errors.ts";
import { createKafkaEventOutput } from "./event-output.ts";
import { kafkaOptions } from "./options.ts";
import { createKafkaSubmissions } from "./submissions.ts";
import { createKafkaWakeUps } from "./wake-ups.ts";

const CLIENT = "tasktrack";
/** A process without a partition receives no wake-ups, so there are enough partitions for two dozen processes. */
const WAKE_UP_PARTITIONS = 24;
/** A wake-up is of no use after half a minute. */
const WAKE_UP_CONFIGS = [
  { name: "retention.ms", value: "600000" },
  { name: "segment.ms", value: "600000" },
];

export function openKafkaBroker(
  url: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Broker {
  const { connection, partitions, names } = kafkaOptions(url);
  const topics = [names.submissions, names.rejections, names.events, names.wakeUps];
  const admin = ignoreLateErrors(new Admin({ clientId: CLIENT, ...connection }));
  const producer = ignoreLateErrors(new Producer({ clientId: CLIENT, ...connection }));
  let isReady = false;
  let creating: Promise<void> | null = null;

  /** Calls that come while the topics are being created share the result. */
  async function ready(): Promise<void> {
    if (isReady) return;
    creating ??= createTopics().finally(() => {
      creating = null;
    });
    await creating;
  }

  /** Creating a topic fails if it exists, or if the account has no right to create topics. The metadata request then shows which topics are missing. */
  async function createTopics(): Promise<void> {
    // If the broker refuses the connection, this call fails at once. One request for each topic, with the client's retries, took a minute.
    await probe();
    for (const topic of topics) {
      const own =
        topic === names.wakeUps
          ? { partitions: Math.max(partitions, WAKE_UP_PARTITIONS), configs: WAKE_UP_CONFIGS }
          : { partitions };
      await admin
        .createTopics({ topics: [topic], replicas: -1, ...own })
        .catch((error: unknown) => log.debug("topic_not_created", { topic, error: errorText(error) }));
    }
    await admin.metadata({ topics, forceUpdate: true });
    isReady = true;
  }

  const probe = (): Promise<unknown> => admin.metadata({ topics: [], forceUpdate: true, retries: 0 });
  let probing: Promise<BrokerState> | null = null;

  /** Calls that come while a probe is under way share its answer. */
  function state(): Promise<BrokerState> {
    probing ??= probe()
      .then(
        (): BrokerState => (submissions.isInterrupted() ? "no_submissions" : "up"),
        (): BrokerState => "away",
      )
      .finally(() => {
        probing = null;
      });
    return probing;
  }

  /** A topic may have been deleted: the next `ready` checks again. */
  function doubt(): void {
    isReady = false;
  }

  async function topicId(): Promise<string> {
    await ready();
    const found = await admin.metadata({ topics: [names.submissions], forceUpdate: true });
    return found.topics.get(names.submissions)?.id ?? "";
  }

  const eventOutput = createKafkaEventOutput({ producer, topic: names.events, ready, doubt });
  const wakeUps = createKafkaWakeUps({
    options: { clientId: CLIENT, ...connection },
    ...{ producer, ready, doubt, name: names.wakeUps, clock, log },
  });
  const submissions = createKafkaSubmissions({
    ...{ connection, names, producer, ready, doubt, topicId, clock, log },
  });
  return {
    submissions,
    eventOutput,
    wakeUps,
    name: "Kafka",
    state,
    close: async () => {
      await Promise.allSettled([wakeUps.close(), eventOutput.close()]); // if a close fails, the end of the connection ends it
      await producer.close();
      await admin.close();
    },
  };
}
