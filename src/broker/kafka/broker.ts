import { Admin, Producer } from "@platformatic/kafka";
import type { BrokerState } from "../../core/broker.ts";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import type { Flow } from "../broker.ts";
import { ignoreLateErrors } from "./errors.ts";
import { createKafkaOutlet } from "./event-output.ts";
import { kafkaOptions } from "./options.ts";
import { createKafkaInlet } from "./submissions.ts";
import { createKafkaWakeUps } from "./wake-ups.ts";

const CLIENT = "tasktrack";
/** A process without a partition hears no bell, so there are enough for some dozen of them. */
const BELL_PARTITIONS = 24;
/** Bells are of no use after half a minute. */
const BELL_CONFIGS = [
  { name: "retention.ms", value: "600000" },
  { name: "segment.ms", value: "600000" },
];

/** Tasks in, wake-ups and events out. */
export function openKafkaFlow(
  url: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Flow {
  const { connection, partitions, names } = kafkaOptions(url);
  const topics = [names.submit, names.rejected, names.events, names.bells];
  const admin = ignoreLateErrors(new Admin({ clientId: CLIENT, ...connection }));
  const producer = ignoreLateErrors(new Producer({ clientId: CLIENT, ...connection }));
  let areThere = false;
  let creating: Promise<void> | null = null;

  /** Who asks while others wait for it waits with them. */
  async function ready(): Promise<void> {
    if (areThere) return;
    creating ??= createTopics().finally(() => {
      creating = null;
    });
    await creating;
  }

  /** Where they may not be made, or nobody answers, the look at them says what is wrong. */
  async function createTopics(): Promise<void> {
    // One that does not let us in says so here at once; asked for each topic, with the client's own attempts, it took a minute.
    await knock();
    for (const topic of topics) {
      const own =
        topic === names.bells
          ? { partitions: Math.max(partitions, BELL_PARTITIONS), configs: BELL_CONFIGS }
          : { partitions };
      await admin
        .createTopics({ topics: [topic], replicas: -1, ...own })
        .catch((error: unknown) => log.debug("topic_not_created", { topic, error: errorText(error) }));
    }
    await admin.metadata({ topics, forceUpdate: true });
    areThere = true;
  }

  const knock = (): Promise<unknown> => admin.metadata({ topics: [], forceUpdate: true, retries: 0 });
  let knocking: Promise<BrokerState> | null = null;

  /** Who asks while it is being asked hears the same answer. */
  function state(): Promise<BrokerState> {
    knocking ??= knock()
      .then(
        (): BrokerState => (inlet.isInterrupted() ? "no_submissions" : "up"),
        (): BrokerState => "away",
      )
      .finally(() => {
        knocking = null;
      });
    return knocking;
  }

  /** Somebody may have deleted a topic. */
  function doubt(): void {
    areThere = false;
  }

  async function topicId(): Promise<string> {
    await ready();
    const found = await admin.metadata({ topics: [names.submit], forceUpdate: true });
    return found.topics.get(names.submit)?.id ?? "";
  }

  const outlet = createKafkaOutlet({ producer, topic: names.events, ready, doubt });
  const bells = createKafkaWakeUps({
    options: { clientId: CLIENT, ...connection },
    ...{ producer, ready, doubt, name: names.bells, clock, log },
  });
  const inlet = createKafkaInlet({ connection, names, producer, ready, doubt, topicId, clock, log });
  return {
    inlet,
    outlet,
    bells,
    broker: "Kafka",
    state,
    close: async () => {
      await Promise.allSettled([bells.close(), outlet.close()]); // what cannot be closed goes with its connections
      await producer.close();
      await admin.close();
    },
  };
}
