/** The brokers beside a store, each with its default settings, and producers that send tasks to them as a user's program would. */
import { Producer as KafkaProducer } from "@platformatic/kafka";
import { Connection } from "rabbitmq-client";
import { createKafka } from "../test/support/servers/kafka.ts";
import { createRabbitmq } from "../test/support/servers/rabbitmq.ts";
import type { TestServer } from "../test/support/servers/runner.ts";
import { cpuSecondsWithChildren, parentOf } from "./machine.ts";
import { register, started } from "./stores.ts";

export interface Broker {
  readonly name: string;
  /** A QUEUE_URL. */
  readonly url: string;
  cpuSeconds(): number;
  openProducer(): Promise<Producer>;
  remove(): Promise<void>;
}

export interface Producer {
  /** Resolves when the broker has confirmed all of them. Rejects if it does not, for example before its queue exists. */
  send(messages: readonly Message[]): Promise<void>;
  close(): Promise<void>;
}

export type Message = { readonly body: Buffer; readonly id: string | null };

const SUBMIT = "tasktrack.submit";
/** The most messages that are sent and not confirmed, for both brokers. */
const UNCONFIRMED = 1_000;
const KAFKA_BATCH = 100;
const CONNECTED_WITHIN_MS = 10_000;

/** The flags of Kafka's own start script; those of the tests would slow down the measurement. */
const KAFKA_FLAGS = [
  ...["-Xms1G", "-Xmx1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"],
  ...["-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15"],
];

export const startRabbitmq = async (): Promise<Broker> => {
  const server = await started(createRabbitmq);
  return brokerOf(server, "RabbitMQ", "beam.smp", openRabbitmqProducer);
};

export const startKafka = async (): Promise<Broker> => {
  const server = await started(() => createKafka(KAFKA_FLAGS));
  return brokerOf(server, "Kafka", "java", openKafkaProducer);
};

const brokerOf = (
  server: TestServer & { readonly url: string },
  name: string,
  command: string,
  openProducer: (url: string) => Promise<Producer>,
): Broker => {
  const pid = server.pid() ?? Number.NaN;
  parentOf(pid, command); // throws if it is another process
  return {
    name,
    url: server.url,
    cpuSeconds: () => cpuSecondsWithChildren(pid),
    openProducer: () => openProducer(server.url),
    remove: server.remove,
  };
};

/** Always closed before its server is removed: the client would try to connect without end. */
const registerProducer = ({ send, close }: Producer): Producer => {
  const { remove } = register({ remove: close });
  return { send, close: remove };
};

const openRabbitmqProducer = async (url: string): Promise<Producer> => {
  const connection = new Connection({ url, connectionName: "bench" });
  await connection.onConnect(CONNECTED_WITHIN_MS);
  const publisher = connection.createPublisher({ confirm: true });

  /**
   * One message per publish, as usual for a producer. It goes directly to the queue, because RabbitMQ also confirms messages
   * without a route.
   */
  const sendOne = ({ body, id }: Message): Promise<void> =>
    publisher.send(
      {
        routingKey: SUBMIT,
        durable: true,
        contentType: "application/json",
        ...(id === null ? {} : { messageId: id }),
      },
      body,
    );

  return registerProducer({
    send: (messages) => sendAll(messages, UNCONFIRMED, sendOne),
    close: async () => {
      await publisher.close();
      await connection.close();
    },
  });
};

const openKafkaProducer = async (url: string): Promise<Producer> => {
  const producer = new KafkaProducer({ clientId: "bench", bootstrapBrokers: [new URL(url).host] });

  /** The client does not batch by itself, so many messages are sent in batches, as every Kafka producer does. */
  const sendBatch = async (batch: readonly Message[]): Promise<void> => {
    await producer.send({ acks: -1, messages: batch.map(recordOf) });
  };

  return registerProducer({
    send: (messages) => sendAll(inBatches(messages), UNCONFIRMED / KAFKA_BATCH, sendBatch),
    close: () => producer.close(),
  });
};

const recordOf = ({ body, id }: Message) => ({
  topic: SUBMIT,
  value: body,
  ...(id === null ? {} : { headers: new Map([[Buffer.from("message-id"), Buffer.from(id)]]) }),
});

const inBatches = (messages: readonly Message[]): Message[][] =>
  Array.from({ length: Math.ceil(messages.length / KAFKA_BATCH) }, (_, at) =>
    messages.slice(at * KAFKA_BATCH, (at + 1) * KAFKA_BATCH),
  );

/** Runs this number of calls at the same time: each end starts the next call. */
const sendAll = async <T>(
  items: readonly T[],
  atOnce: number,
  send: (item: T) => Promise<void>,
): Promise<void> => {
  const left = items.values();
  const sendNext = async (): Promise<void> => {
    for (const item of left) {
      await send(item);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, sendNext));
};
