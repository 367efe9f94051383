/** Tasks in and events out by a broker, while servers are killed again and again, and the broker too. */
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
/** Of three servers one dies so often, while messages come at an even rate: about one death in so many milliseconds. */
const KILLS_OF_THREE = scale(3, 12);
const KILL_EVERY_MS = scale(1_500, 5_000);
const PER_SECOND = (0.8 * MESSAGES) / ((KILLS_OF_THREE * KILL_EVERY_MS) / 1_000);
const TASKS = scale(200, 3_400);
/** Each is created, claimed and done: more than 10,000 changes where all of it is asked for. */
const TASKS_AT_ONCE = 50;
const WITHIN_MS = 600_000;

/** Names of its own at a broker, spoken to as producers and consumers of others do. */
interface Ends {
  /** Resolves when the broker has confirmed it; comes again until then. */
  submit(message: Message): Promise<void>;
  /** Whatever has come to be rejected so far. */
  rejected(): Promise<readonly Rejected[]>;
  /** Hears every event from now on; the order is kept within a partition, where the broker has such. */
  listen(tell: (event: TaskEvent, partition: number) => void): Promise<void>;
  close(): Promise<void>;
}

type Message = { readonly id: string; readonly body: string };
type Rejected = {
  readonly key: string;
  readonly problem: { readonly status: number; readonly detail: string };
};

async function openRabbitmq(url: string, prefix: string): Promise<Ends> {
  const connection = new Connection({ url, acquireTimeout: 60_000, retryHigh: 1_000 });
  connection.on("error", () => undefined); // it is restarted on purpose
  const publisher = connection.createPublisher({
    confirm: true,
    maxAttempts: 1_000,
    // As the server makes them: what is published before they are there goes nowhere.
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
        rejected.push(message.body as Rejected); // as rejectionOf has made it
      }
    },
    listen: async (tell) => {
      const consumer = connection.createConsumer(
        {
          queue: `${prefix}.heard`,
          queueOptions: { durable: true },
          exchanges: [{ exchange: `${prefix}.events`, type: "topic", durable: true }],
          queueBindings: [{ exchange: `${prefix}.events`, routingKey: "#" }],
        },
        ({ body }) => tell(body as TaskEvent, 0), // as the outlet has made it
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

async function openKafka(url: string, prefix: string): Promise<Ends> {
  const bootstrapBrokers = [new URL(url).host];
  const producer = new Producer({ clientId: "test", bootstrapBrokers });
  const ears: Consumer[] = [];
  const rejected: Rejected[] = [];

  async function hear(topic: string, tell: (text: string, partition: number) => void): Promise<void> {
    const ear = new Consumer({ clientId: "ear", groupId: `ear-${topic}`, bootstrapBrokers });
    ears.push(ear);
    const stream = await eventually(
      () => ear.consume({ topics: [topic], mode: "earliest" }).catch(() => null), // until the server has made it
      (found) => found !== null,
    );
    stream?.on("data", ({ value, partition }) => tell(value.toString(), partition));
    stream?.on("error", () => undefined); // it is restarted on purpose
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
      if (ears.length === 0) {
        await hear(`${prefix}.rejected`, (text) => rejected.push(JSON.parse(text) as Rejected)); // as rejectionOf has made it
      }
      return rejected;
    },
    listen: async (tell) => {
      void hear(`${prefix}.events`, (text, partition) => tell(JSON.parse(text) as TaskEvent, partition)); // as the outlet has made it
    },
    close: async () => {
      for (const ear of ears) await ear.close(true);
      await producer.close();
    },
  };
}

type Flow = {
  /** The broker's other end. */
  readonly ends: Ends;
  readonly server: Member;
  another(): Member;
};

/** Names at a broker, a corner of the shared PostgreSQL, and servers between them, as long as the test lasts. */
function testFlow(
  names: readonly BrokerName[],
  claim: string,
  env: Readonly<Record<string, string>>,
  body: (flow: Flow, broker: BrokenBroker) => Promise<void>,
): void {
  testBrokers(names, claim, async (broker) => {
    const prefix = uniqueName("flow");
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
      for (const member of members) if (member.lives.length > 0) await member.kill(); // of a test that failed
      await ends.close();
      await place.remove();
    }
  });
}

async function killAndStart(server: Member): Promise<void> {
  await server.kill();
  await server.start();
}

// ---- tasks in

type Told = { readonly id: number; readonly name: string };

const tasksOf = async ({ url }: Member): Promise<Told[]> =>
  (await (await fetch(`${url}/api/task`)).json()) as Told[]; // api.test.ts shows it

const bodyOf = (n: number): string =>
  isBad(n) ? '{"nome":"bad"}' : JSON.stringify({ name: `message ${n}` });
const isBad = (n: number): boolean => n % BAD_EVERY === 0;

/** Fifty at a time, and no faster than that many a second. */
async function submitAll(ends: Ends, perSecond = Number.POSITIVE_INFINITY): Promise<void> {
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

/** Waits until all that was submitted has come to something, ends the servers, and expects each message to have become one task. */
async function expectEachOnce(ends: Ends, servers: readonly [Member, ...Member[]]): Promise<void> {
  const [server] = servers;
  const bad = Array.from({ length: MESSAGES }, (_, n) => n).filter(isBad);
  await eventually(
    () => tasksOf(server),
    (found) => found.length >= MESSAGES - bad.length,
    WITHIN_MS,
  );
  // One may be there twice: refused, and its server killed before it could say so.
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

testFlow(
  usuallyOn("Kafka"),
  "each message becomes its task once, whoever is killed, and the bad ones are kept with their reason",
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
    report(`tasks in, ${name}`, { messages: MESSAGES, kills: KILLS });
  },
);

testFlow(
  usuallyOn("RabbitMQ"),
  "of three servers that share what comes in, kills lose no message and double none",
  { ROLE: "api" },
  async (x, { name }) => {
    await x.server.start(); // makes the tables
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
    report(`tasks in by three, ${name}`, { messages: MESSAGES, kills: KILLS_OF_THREE });
  },
);

// ---- events out

/** How often a stretch of events begins that have been seen before. */
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

/** The versions of each task, as they were first heard. */
function versionsOf(events: readonly TaskEvent[]): Map<number, number[]> {
  const versions = new Map<number, number[]>();
  for (const { id, version } of events) {
    const known = versions.get(id) ?? [];
    if (!known.includes(version)) versions.set(id, [...known, version]);
  }
  return versions;
}

testFlow(
  usuallyOn("Kafka"),
  "every change is told, each task's in order, and again only where the server died",
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
      const heard = versionsOf(events);
      return tasks.filter(({ id, version }) => heard.get(id)?.length !== version).length;
    };
    await eventually(missing, (count) => count === 0, WITHIN_MS);
    expect(await x.server.stop()).toBe(0);
    expect(versionsOf(events).size).toBe(created);
    for (const versions of versionsOf(events).values()) {
      expect(versions).toEqual(versions.toSorted((a, b) => a - b));
      expect(versions).toEqual(versions.map((_, at) => at + 1));
    }
    for (const heard of partitions.values()) expect(repeatsIn(heard)).toBeLessThanOrEqual(KILLS);
    expect(events.every(({ type }) => type === "simulate")).toBe(true);
    report(`events out, ${name}`, { tasks: created, events: events.length, kills: KILLS });
  },
);
