/** Submissions and events by a broker, while the servers and the broker are killed again and again. */
import { expect } from "bun:test";
import { Consumer, Producer } from "@platformatic/kafka";
import { Connection } from "rabbitmq-client";
import type { TaskEvent } from "../../src/broker/event-output.ts";
import { eventually } from "../support/eventually.ts";
import { uniqueName } from "../support/stores.ts";
import { type BrokenBroker, type BrokerName, testBrokers, usuallyOn } from "./brokers.ts";
import { allEnded, createMember, type Member } from "./cluster.ts";
import { corner } from "./places.ts";
import { report, scale } from "./scale.ts";

const KILLS = scale(2, 5);
const MESSAGES = scale(400, 10_000);
const BAD_EVERY = 100;
/** The number of kills of one of three servers, and the time between them, while messages are sent at an even rate. */
const KILLS_OF_THREE = scale(3, 12);
const KILL_EVERY_MS = scale(1_500, 5_000);
const PER_SECOND = (0.8 * MESSAGES) / ((KILLS_OF_THREE * KILL_EVERY_MS) / 1_000);
const TASKS = scale(200, 3_400);
/** Each task is created, claimed and done: more than 10,000 changes in `npm run chaos`. */
const TASKS_AT_ONCE = 50;
const WITHIN_MS = 600_000;

/** A producer and consumers as other programs have them, at a broker with their own prefix. */
interface OtherEnd {
  /** Sends it until the broker has confirmed it. */
  submit(message: Message): Promise<void>;
  /** The rejections so far. */
  rejected(): Promise<readonly Rejected[]>;
  /** Reports every event from now on; in order within a partition, if the broker has partitions. */
  listen(tell: (event: TaskEvent, partition: number) => void): Promise<void>;
  close(): Promise<void>;
}

type Message = { readonly id: string; readonly body: string };
type Rejected = {
  readonly key: string;
  readonly problem: { readonly status: number; readonly detail: string };
};

async function openRabbitmq(url: string, prefix: string): Promise<OtherEnd> {
  const connection = new Connection({ url, acquireTimeout: 60_000, retryHigh: 1_000 });
  connection.on("error", () => undefined); // the test restarts the broker
  const publisher = connection.createPublisher({
    confirm: true,
    maxAttempts: 1_000,
    // Declared as the server declares them. Without this, messages that are published before the server has declared them are lost.
    queues: ["submit", "rejected"]
      .map((name) => `${prefix}.${name}`)
      .map((queue) => ({
        ...{ queue, durable: true, arguments: { "x-queue-type": "quorum" } },
      })),
    exchanges: [{ exchange: `${prefix}.events`, type: "topic", durable: true }],
  });
  const rejected: Rejected[] = [];
  const closing: (() => Promise<void>)[] = [];
  return {
    submit: ({ id, body }) =>
      publisher.send({ routingKey: `${prefix}.submit`, durable: true, messageId: id }, Buffer.from(body)),
    rejected: async () => {
      for (;;) {
        const message = await connection.basicGet({ queue: `${prefix}.rejected`, noAck: true });
        if (message === undefined) return rejected;
        rejected.push(message.body as Rejected); // as rejectionOf writes it
      }
    },
    listen: async (tell) => {
      const consumer = connection.createConsumer(
        {
          queue: `${prefix}.events-of-test`,
          queueOptions: { durable: true },
          exchanges: [{ exchange: `${prefix}.events`, type: "topic", durable: true }],
          queueBindings: [{ exchange: `${prefix}.events`, routingKey: "#" }],
        },
        ({ body }) => tell(body as TaskEvent, 0), // as the event output writes it
      );
      closing.push(() => consumer.close());
      await new Promise<void>((resolve) => consumer.on("ready", () => resolve()));
    },
    close: async () => {
      for (const close of closing) await close();
      await publisher.close();
      await connection.close();
    },
  };
}

async function openKafka(url: string, prefix: string): Promise<OtherEnd> {
  const bootstrapBrokers = [new URL(url).host];
  const producer = new Producer({ clientId: "test", bootstrapBrokers });
  const consumers: Consumer[] = [];
  const rejected: Rejected[] = [];

  async function listenTo(topic: string, tell: (text: string, partition: number) => void): Promise<void> {
    const consumer = new Consumer({ clientId: "test", groupId: `test-${topic}`, bootstrapBrokers });
    consumers.push(consumer);
    const stream = await eventually(
      () => consumer.consume({ topics: [topic], mode: "earliest" }).catch(() => null), // until the server has created it
      (found) => found !== null,
    );
    stream?.on("data", ({ value, partition }) => tell(value.toString(), partition));
    stream?.on("error", () => undefined); // the test restarts the broker
  }

  return {
    submit: async ({ id, body }) => {
      const headers = new Map([[Buffer.from("message-id"), Buffer.from(id)]]);
      const message = { topic: `${prefix}.submit`, value: Buffer.from(body), headers };
      const send = () =>
        producer.send({ messages: [message], acks: -1 }).then(
          () => true,
          () => false,
        );
      await eventually(send, (isSent) => isSent, WITHIN_MS);
    },
    rejected: async () => {
      if (consumers.length === 0) {
        await listenTo(`${prefix}.rejected`, (text) => rejected.push(JSON.parse(text) as Rejected)); // as rejectionOf writes it
      }
      return rejected;
    },
    listen: async (tell) => {
      void listenTo(`${prefix}.events`, (text, partition) => tell(JSON.parse(text) as TaskEvent, partition)); // as the event output writes it
    },
    close: async () => {
      for (const consumer of consumers) await consumer.close(true);
      await producer.close();
    },
  };
}

type Scene = {
  readonly ends: OtherEnd;
  readonly server: Member;
  another(): Member;
};

/** A prefix at a broker, a schema on the shared PostgreSQL, and servers, which are removed after the test. */
function testMessages(
  names: readonly BrokerName[],
  claim: string,
  env: Readonly<Record<string, string>>,
  body: (scene: Scene, broker: BrokenBroker) => Promise<void>,
): void {
  testBrokers(names, claim, async (broker) => {
    const prefix = uniqueName("messages");
    const ends = await (broker.name === "Kafka" ? openKafka : openRabbitmq)(broker.url, prefix);
    const place = corner("PostgreSQL");
    const members: Member[] = [];
    const another = (): Member => {
      const member = createMember({
        ...{ STORE_URL: place.storeUrl, QUEUE_URL: broker.urlFor(prefix), LEASE: "1s", LOG_LEVEL: "info" },
        ...env,
      });
      members.push(member);
      return member;
    };
    try {
      await body({ ends, server: another(), another }, broker);
    } finally {
      for (const member of members) if (member.lives.length > 0) await member.kill(); // still runs if the test has failed
      await ends.close();
      await place.remove();
    }
  });
}

async function killAndStart(server: Member): Promise<void> {
  await server.kill();
  await server.start();
}

// ---- submissions

type Listed = { readonly id: number; readonly name: string };

const tasksOf = async ({ url }: Member): Promise<Listed[]> =>
  (await (await fetch(`${url}/api/task`)).json()) as Listed[]; // api.test.ts checks the form

const bodyOf = (n: number): string =>
  isBad(n) ? '{"nome":"bad"}' : JSON.stringify({ name: `message ${n}` });
const isBad = (n: number): boolean => n % BAD_EVERY === 0;

/** Sends fifty messages at the same time, and at most this number in a second. */
async function submitAll(ends: OtherEnd, perSecond = Number.POSITIVE_INFINITY): Promise<void> {
  const startedAt = performance.now();
  let next = 0;
  const one = async (): Promise<void> => {
    for (let n = next++; n < MESSAGES; n = next++) {
      await Bun.sleep(startedAt + (n / perSecond) * 1_000 - performance.now());
      await ends.submit({ id: `m${n}`, body: bodyOf(n) });
    }
  };
  await Promise.all(Array.from({ length: 50 }, one));
}

/** Waits until each message is a task or is rejected, stops the servers, and expects one task for each valid message. */
async function expectEachOnce(ends: OtherEnd, servers: readonly [Member, ...Member[]]): Promise<void> {
  const [server] = servers;
  const bad = Array.from({ length: MESSAGES }, (_, n) => n).filter(isBad);
  await eventually(
    () => tasksOf(server),
    (found) => found.length >= MESSAGES - bad.length,
    WITHIN_MS,
  );
  // A rejection may be published twice, if its server is killed before it acknowledges the message.
  const rejected = await eventually(
    async () => new Map((await ends.rejected()).map((one) => [one.key, one])),
    (found) => found.size >= bad.length,
    WITHIN_MS,
  );
  const tasks = await tasksOf(server);
  expect(await Promise.all(servers.map((one) => one.stop()))).toEqual(servers.map(() => 0));
  expect(new Set(tasks.map((task) => task.name)).size).toBe(MESSAGES - bad.length);
  expect(tasks).toHaveLength(MESSAGES - bad.length);
  expect([...rejected.keys()].sort()).toEqual(bad.map((n) => `m${n}`).sort());
  for (const { problem } of rejected.values()) {
    expect(problem).toMatchObject({ status: 400, detail: expect.stringContaining("/nome") });
  }
}

testMessages(
  usuallyOn("Kafka"),
  "each valid message creates one task, and each invalid one is rejected with the reason, through kills of the server and the broker",
  { ROLE: "api" },
  async (x, { name, server }) => {
    await x.server.start();
    const submitting = submitAll(x.ends);
    for (let kill = 1; kill <= KILLS; kill++) {
      const enough = (MESSAGES / (KILLS + 2)) * kill;
      await eventually(
        () => tasksOf(x.server),
        (tasks) => tasks.length >= enough,
        WITHIN_MS,
      );
      if (kill === 1) {
        await server.signal("SIGTERM");
        await server.start();
      }
      await killAndStart(x.server);
    }
    await submitting;
    await expectEachOnce(x.ends, [x.server]);
    report(`submissions, ${name}`, { messages: MESSAGES, kills: KILLS });
  },
);

testMessages(
  usuallyOn("RabbitMQ"),
  "kills of three servers that share the submissions lose no message and create no task twice",
  { ROLE: "api" },
  async (x, { name }) => {
    await x.server.start(); // creates the tables
    const servers = [x.server, x.another(), x.another()] as const;
    await Promise.all(servers.slice(1).map((server) => server.start()));
    const submitting = submitAll(x.ends, PER_SECOND);
    const restarts = new Map<Member, Promise<void>>();
    for (let kill = 0; kill < KILLS_OF_THREE; kill++) {
      const [victim, witness] = [kill, kill + 1].map((nth) => servers[nth % servers.length]) as [
        Member,
        Member,
      ]; // of three
      await Promise.all([restarts.get(victim), restarts.get(witness)]);
      const enough = (MESSAGES / (KILLS_OF_THREE + 2)) * (kill + 1);
      await eventually(
        () => tasksOf(witness),
        (tasks) => tasks.length >= enough,
        WITHIN_MS,
      );
      await victim.kill();
      restarts.set(victim, victim.start());
    }
    await Promise.all([...restarts.values(), submitting]);
    await expectEachOnce(x.ends, servers);
    report(`submissions to three, ${name}`, { messages: MESSAGES, kills: KILLS_OF_THREE });
  },
);

// ---- events

/** The number of sequences of repeated events. */
function repeatsIn(events: readonly TaskEvent[]): number {
  const seen = new Set<string>();
  let repeats = 0;
  let wasSeen = false;
  for (const { event, id, version } of events) {
    const name = `${id} ${event} ${version}`;
    const isSeen = seen.has(name);
    if (isSeen && !wasSeen) repeats++;
    wasSeen = isSeen;
    seen.add(name);
  }
  return repeats;
}

/** The versions of each task, in the order in which they were first received. */
function versionsOf(events: readonly TaskEvent[]): Map<number, number[]> {
  const versions = new Map<number, number[]>();
  for (const { id, version } of events) {
    const known = versions.get(id) ?? [];
    if (!known.includes(version)) versions.set(id, [...known, version]);
  }
  return versions;
}

testMessages(
  usuallyOn("Kafka"),
  "every change is published, in order for each task, and twice only after a kill of the server",
  { SIMULATE_MIN: "1ms", SIMULATE_MAX: "5ms", WORKER_CONCURRENCY: "50" },
  async (x, { name }) => {
    const events: TaskEvent[] = [];
    const partitions = new Map<number, TaskEvent[]>();
    await x.ends.listen((event, partition) => {
      events.push(event);
      partitions.set(partition, partitions.get(partition) ?? []);
      partitions.get(partition)?.push(event);
    });
    await x.server.start();
    let created = 0;
    for (let kill = 0; kill <= KILLS; kill++) {
      for (; created < (TASKS / (KILLS + 1)) * (kill + 1); created += TASKS_AT_ONCE) {
        const body = JSON.stringify(Array.from({ length: TASKS_AT_ONCE }, () => ({ name: "x" })));
        expect((await fetch(`${x.server.url}/api/task`, { method: "POST", body })).status).toBe(201);
      }
      if (kill < KILLS) await killAndStart(x.server);
    }
    await allEnded(x.server.url, WITHIN_MS);
    const tasks = (await (await fetch(`${x.server.url}/api/task?view=full`)).json()) as {
      readonly id: number;
      readonly version: number;
    }[];
    const missing = () => {
      const received = versionsOf(events);
      return tasks.filter(({ id, version }) => received.get(id)?.length !== version).length;
    };
    await eventually(missing, (count) => count === 0, WITHIN_MS);
    expect(await x.server.stop()).toBe(0);
    expect(versionsOf(events).size).toBe(created);
    for (const versions of versionsOf(events).values()) {
      expect(versions).toEqual(versions.toSorted((a, b) => a - b));
      expect(versions).toEqual(versions.map((_, at) => at + 1));
    }
    for (const received of partitions.values()) expect(repeatsIn(received)).toBeLessThanOrEqual(KILLS);
    expect(events.every(({ type }) => type === "simulate")).toBe(true);
    report(`events, ${name}`, { tasks: created, events: events.length, kills: KILLS });
  },
);
