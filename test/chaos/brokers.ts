/** Brokers that the tests disturb, and the faults of their wake-ups: all are deleted, or each is sent ten more times. */
import { test } from "bun:test";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { Connection } from "rabbitmq-client";
import { eventually } from "../support/eventually.ts";
import { createRandom } from "../support/random.ts";
import { createKafka } from "../support/servers/kafka.ts";
import { createRabbitmq } from "../support/servers/rabbitmq.ts";
import type { TestServer } from "../support/servers/runner.ts";
import { isFull } from "./scale.ts";

export type BrokerName = "RabbitMQ" | "Kafka";
export const BROKERS: readonly BrokerName[] = ["RabbitMQ", "Kafka"];

/**
 * The brokers with which a claim is tested: both in `npm run chaos`, one in a usual run. A usual run takes the broker whose mechanism
 * matters most for the claim (groups and partitions of Kafka, queues and confirms of RabbitMQ). With both brokers, this file took
 * 190 s of the processor, a fifth of the whole suite.
 */
export const usuallyOn = (name: BrokerName): readonly BrokerName[] => (isFull ? BROKERS : [name]);

export interface BrokenBroker {
  readonly name: BrokerName;
  readonly server: TestServer;
  readonly url: string;
  /** The URL for one TaskTrack of several on this broker. */
  urlFor(prefix: string): string;
  /** The number of processes that receive wake-ups for simulated work, as the broker counts them. */
  receivers(prefix: string): Promise<number>;
  /** Deletes the wake-ups for simulated work that are not delivered; resolves with their number, or null if the broker does not count them. */
  purge(prefix: string): Promise<number | null>;
  /** From now on each wake-up is sent ten more times, in random order. */
  multiply(prefix: string): Promise<Multiplier>;
  /** Blocks or unblocks connections that publish. */
  readonly alarm: ((isOn: boolean) => Promise<void>) | null;
  remove(): Promise<void>;
}

export interface Multiplier {
  /** The number of copies that were sent so far. */
  copies(): number;
  stop(): Promise<void>;
}

/** The time limit of each test. It includes the time of the other tests: all begin at once and run one after another. */
const TURNS_WITHIN_MS = 1_200_000;

const brokers = new Map<BrokerName, Promise<BrokenBroker>>();
const turns = new Map<BrokerName, Promise<unknown>>();

/**
 * Tests a claim with each of these brokers. All tests share one broker of each kind and disturb it one after another, because a start
 * takes three to five seconds of the processor. The two kinds are tested at the same time, except in measurements.
 */
export function testBrokers(
  names: readonly BrokerName[],
  claim: string,
  body: (broker: BrokenBroker) => Promise<void>,
): void {
  const enter = isFull ? test : test.concurrent;
  for (const name of names) enter(`${name}: ${claim}`, () => inTurn(name, body), TURNS_WITHIN_MS);
}

function inTurn(name: BrokerName, body: (broker: BrokenBroker) => Promise<void>): Promise<void> {
  const broker = brokers.get(name) ?? openBroker(name);
  brokers.set(name, broker);
  const turn = (turns.get(name) ?? Promise.resolve()).then(async () => body(await broker));
  const over = turn.catch(() => undefined); // reported by its own test
  turns.set(name, over);
  return turn;
}

export async function removeBrokers(): Promise<void> {
  for (const broker of brokers.values()) await broker.then(({ remove }) => remove()).catch(() => undefined); // reported by its test
}

const openBroker = (name: BrokerName): Promise<BrokenBroker> =>
  name === "Kafka" ? openKafka() : openRabbitmq();

const COPIES = 10;
/** The number of wake-ups whose copies are mixed. */
const MIXED = 50;
const SEND_EVERY_MS = 100;
const WITHIN_MS = 60_000;

/** Collects wake-ups, and sends copies of them in random order. `send` marks the copies. */
function createMixer(send: (types: readonly string[]) => Promise<unknown>) {
  const random = createRandom(20_260_202);
  let waiting: string[] = [];
  let copied = 0;
  let sending: Promise<unknown> = Promise.resolve();

  function mix(): void {
    const copies = waiting.flatMap((type) => Array.from({ length: COPIES }, () => type));
    waiting = [];
    const mixed = copies.map((type) => ({ type, at: random() })).sort((a, b) => a.at - b.at);
    sending = Promise.all([sending, send(mixed.map(({ type }) => type))]);
    copied += mixed.length;
  }
  const timer = setInterval(mix, SEND_EVERY_MS);

  return {
    take: (type: string): void => {
      waiting.push(type);
      if (waiting.length >= MIXED) mix();
    },
    copies: () => copied,
    stop: async (): Promise<void> => {
      clearInterval(timer);
      await sending;
    },
  };
}

async function openRabbitmq(): Promise<BrokenBroker> {
  const server = await createRabbitmq();
  await server.start();
  const connect = async <T>(body: (connection: Connection) => Promise<T>): Promise<T> => {
    const connection = new Connection({ url: server.url, acquireTimeout: WITHIN_MS, retryHigh: 1_000 });
    connection.on("error", () => undefined); // the test restarts the broker
    try {
      return await body(connection);
    } finally {
      await connection.close();
    }
  };
  return {
    ...{ name: "RabbitMQ", server, url: server.url },
    urlFor: (prefix) => `${server.url}?prefix=${prefix}`,
    receivers: (prefix) =>
      connect(async (connection) => {
        const queue = `${prefix}.bells:simulate`;
        const found = await connection.queueDeclare({ queue, passive: true }).catch(() => null); // it does not exist yet
        return found?.consumerCount ?? 0;
      }),
    purge: (prefix) =>
      connect(async (connection) => {
        const { messageCount } = await connection.queuePurge({ queue: `${prefix}.bells:simulate` });
        return messageCount;
      }),
    multiply: async (prefix) => {
      const connection = new Connection({ url: server.url });
      const exchange = { exchange: `${prefix}.bells`, type: "topic", durable: true };
      const publisher = connection.createPublisher({ confirm: true, exchanges: [exchange] });
      const copy = { exchange: exchange.exchange, messageId: "copy" };
      const mixer = createMixer((types) =>
        Promise.all(types.map((type) => publisher.send({ ...copy, routingKey: type }, Buffer.alloc(0)))),
      );
      const consumer = connection.createConsumer(
        {
          noAck: true, // it also receives its own copies, until it closes
          queueOptions: { exclusive: true },
          exchanges: [exchange],
          queueBindings: [{ exchange: exchange.exchange, routingKey: "#" }],
        },
        ({ routingKey, messageId }) => {
          if (messageId !== "copy") mixer.take(routingKey);
        },
      );
      await new Promise<void>((resolve) => consumer.on("ready", () => resolve()));
      return {
        copies: mixer.copies,
        stop: async () => {
          await consumer.close();
          await mixer.stop();
          await publisher.close();
          await connection.close();
        },
      };
    },
    alarm: (isOn) => server.control(["set_vm_memory_high_watermark", isOn ? "0.0000001" : "0.4"]),
    remove: server.remove,
  };
}

async function openKafka(): Promise<BrokenBroker> {
  const server = await createKafka();
  await server.start();
  const options = { clientId: "chaos", bootstrapBrokers: [new URL(server.url).host] };
  const connect = async <T>(body: (admin: Admin) => Promise<T>): Promise<T> => {
    const admin = new Admin(options);
    try {
      return await body(admin);
    } finally {
      await admin.close();
    }
  };
  const idOf = async (admin: Admin, topic: string): Promise<string | null> => {
    const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true });
    return topics.get(topic)?.id ?? null;
  };
  return {
    ...{ name: "Kafka", server, url: server.url },
    urlFor: (prefix) => `${server.url}?prefix=${prefix}`,
    receivers: (prefix) =>
      connect(async (admin) => {
        const id = `${prefix}.bells:simulate`;
        const groups = await admin.describeGroups({ groups: [id] }).catch(() => null); // it is being created, or rebalanced
        const members = [...(groups?.get(id)?.members.values() ?? [])];
        return members.filter(({ assignments }) => assignments !== undefined && assignments.size > 0).length;
      }),
    purge: (prefix) =>
      connect(async (admin) => {
        const topic = `${prefix}.bells`;
        const before = await idOf(admin, topic);
        if (before === null) throw new Error("there is no topic of wake-ups");
        await admin.deleteTopics({ topics: [topic] });
        // The topic is created again here, or by a process that needs it.
        const make = (): Promise<unknown> =>
          admin.createTopics({ topics: [topic], partitions: 24, replicas: 1 }).catch(() => null);
        await eventually(
          async () => {
            await make();
            return idOf(admin, topic).catch(() => null);
          },
          (id) => id !== null && id !== before,
          WITHIN_MS,
        );
        return null;
      }),
    multiply: async (prefix) => {
      const topic = `${prefix}.bells`;
      const producer = new Producer(options);
      const mixer = createMixer((types) => {
        const headers = new Map([[Buffer.from("copy"), Buffer.from("1")]]);
        const messages = types.map((type) => ({ topic, value: Buffer.from(type), headers }));
        return messages.length === 0 ? Promise.resolve() : producer.send({ messages, acks: 1 });
      });
      const consumer = new Consumer({ ...options, groupId: `${prefix}-copies` });
      const stream = await eventually(
        () => consumer.consume({ topics: [topic], mode: "latest" }).catch(() => null), // until a process has created it
        (found) => found !== null,
        WITHIN_MS,
      );
      stream?.on("data", ({ value, headers }) => {
        if (headers.size === 0) mixer.take(value.toString());
      });
      stream?.on("error", () => undefined); // it is closed while it reads
      await eventually(
        () => consumer.assignments?.length ?? 0,
        (count) => count > 0,
        WITHIN_MS,
      );
      return {
        copies: mixer.copies,
        stop: async () => {
          await consumer.close(true);
          await mixer.stop();
          await producer.close();
        },
      };
    },
    alarm: null,
    remove: server.remove,
  };
}
