import { Admin, Producer } from "@platformatic/kafka";
import type { Clock } from "../core/clock.ts";
import { errorText, type Log } from "../lib/log.ts";
import { BELLS, createKafkaBells } from "./kafka-bells.ts";
import { createKafkaInlet, REJECTED, SUBMIT } from "./kafka-inlet.ts";
import { createKafkaOutlet, EVENTS } from "./kafka-outlet.ts";
import type { Flow } from "./open.ts";

const CLIENT = "tasktrack";
const TOPICS = [SUBMIT, REJECTED, EVENTS, BELLS];
/** Bells are of no use after half a minute. */
const BELL_CONFIGS = [
  { name: "retention.ms", value: "600000" },
  { name: "segment.ms", value: "600000" },
];

/** Tasks in and events out. `kafka://host:port,host:port?partitions=6`: the partitions of topics that are not there yet. */
export function openKafkaFlow(
  url: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Flow {
  const [, hosts = "", query = ""] = /^kafka:\/\/([^/?]+)\/?(?:\?(.*))?$/.exec(url) ?? [];
  const brokers = hosts.split(",");
  const partitions = Number(new URLSearchParams(query).get("partitions") ?? "6");
  const admin = new Admin({ clientId: CLIENT, bootstrapBrokers: brokers });
  const producer = new Producer({ clientId: CLIENT, bootstrapBrokers: brokers });
  let areThere = false;

  /** Where they may not be made, or nobody answers, the look at them says what is wrong. */
  async function createTopics(): Promise<void> {
    if (areThere) return;
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
    options: { clientId: CLIENT, bootstrapBrokers: brokers },
    ...{ producer, ready: createTopics, doubt, clock, log },
  });
  return {
    inlet: createKafkaInlet({ brokers, producer, topicId, clock, log }),
    outlet,
    bells,
    close: async () => {
      await Promise.all([bells.close(), outlet.close()]);
      await producer.close();
      await admin.close();
    },
  };
}
