import { Admin, Producer } from "@platformatic/kafka";
import type { Clock } from "../core/clock.ts";
import { errorText, type Log } from "../lib/log.ts";
import { kafkaOptions } from "./broker-options.ts";
import { BELLS, createKafkaBells } from "./kafka-bells.ts";
import { createKafkaInlet, REJECTED, SUBMIT } from "./kafka-inlet.ts";
import { createKafkaOutlet, EVENTS } from "./kafka-outlet.ts";
import type { Flow } from "./open.ts";
import { withstand } from "./withstand.ts";

const CLIENT = "tasktrack";
const TOPICS = [SUBMIT, REJECTED, EVENTS, BELLS];
/** Bells are of no use after half a minute. */
const BELL_CONFIGS = [
  { name: "retention.ms", value: "600000" },
  { name: "segment.ms", value: "600000" },
];

/** Tasks in and events out. */
export function openKafkaFlow(
  url: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Flow {
  const { connection, partitions } = kafkaOptions(url);
  const admin = withstand(new Admin({ clientId: CLIENT, ...connection }));
  const producer = withstand(new Producer({ clientId: CLIENT, ...connection }));
  let areThere = false;

  /** Where they may not be made, or nobody answers, the look at them says what is wrong. */
  async function createTopics(): Promise<void> {
    if (areThere) return;
    // One that does not let us in says so here at once; asked for each topic, with the client's own attempts, it took a minute.
    await admin.metadata({ topics: [], forceUpdate: true, retries: 0 });
    for (const topic of TOPICS) {
      await admin
        .createTopics({
          topics: [topic],
          partitions,
          replicas: -1,
          configs: topic === BELLS ? BELL_CONFIGS : [],
        })
        .catch((error: unknown) => log.debug("topic_not_created", { topic, error: errorText(error) }));
    }
    await admin.metadata({ topics: TOPICS, forceUpdate: true });
    areThere = true;
  }

  /** Somebody may have deleted a topic. */
  function doubt(): void {
    areThere = false;
  }

  async function topicId(): Promise<string> {
    await createTopics();
    const { topics } = await admin.metadata({ topics: [SUBMIT], forceUpdate: true });
    return topics.get(SUBMIT)?.id ?? "";
  }

  const outlet = createKafkaOutlet({ producer, ready: createTopics });
  const bells = createKafkaBells({
    options: { clientId: CLIENT, ...connection },
    ...{ producer, ready: createTopics, doubt, clock, log },
  });
  return {
    inlet: createKafkaInlet({ connection, producer, topicId, clock, log }),
    outlet,
    bells,
    close: async () => {
      await Promise.all([bells.close(), outlet.close()]);
      await producer.close();
      await admin.close();
    },
  };
}
