/** Tasks in and events out by a broker, while the server is killed again and again, and the broker too. */
import { afterAll, expect, test } from "bun:test";
import { Connection } from "rabbitmq-client";
import type { TaskEvent } from "../../src/queue/outlet.ts";
import { eventually } from "../support/eventually.ts";
import { killLeftovers } from "../support/server-process.ts";
import { createRabbitmq, type RabbitmqServer } from "../support/servers/rabbitmq.ts";
import { allEnded, createMember, type Member } from "./cluster.ts";
import { corner } from "./places.ts";
import { report, scale } from "./scale.ts";

const KILLS = scale(2, 5);
const MESSAGES = scale(1_000, 10_000);
const BAD_EVERY = 100;
const TASKS = scale(400, 3_400);
/** Each is created, claimed and done: more than 10,000 changes where all of it is asked for. */
const TASKS_AT_ONCE = 50;
const WITHIN_MS = scale(120_000, 300_000);

afterAll(killLeftovers);

/** A broker of its own, a corner of the shared PostgreSQL, and a server between them. */
async function openFlow(env: Readonly<Record<string, string>>) {
  const broker = await createRabbitmq();
  await broker.start();
  const place = corner("PostgreSQL");
  const server = createMember({
    STORE_URL: place.storeUrl,
    QUEUE_URL: broker.url,
    LEASE: "1s",
    LOG_LEVEL: "info",
    ...env,
  });
  const connection = new Connection({ url: broker.url, acquireTimeout: 60_000, retryHigh: 1_000 });
  connection.on("error", () => undefined); // the broker is killed on purpose
  const close = async (): Promise<void> => {
    await connection.close();
    await broker.remove();
    await place.remove();
  };
  return { broker, server, connection, close };
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

/** Comes again with each message that the broker has not confirmed, as producers do. */
async function submitAll(connection: Connection): Promise<void> {
  const publisher = connection.createPublisher({ confirm: true, maxAttempts: 1_000 });
  let next = 0;
  const one = async (): Promise<void> => {
    for (let n = next++; n < MESSAGES; n = next++) {
      const envelope = { exchange: "tasktrack.submit", routingKey: "", durable: true, messageId: `m${n}` };
      await publisher.send(envelope, Buffer.from(bodyOf(n)));
    }
  };
  await Promise.all(Array.from({ length: 50 }, one));
  await publisher.close();
}

type Rejected = {
  readonly key: string;
  readonly problem: { readonly status: number; readonly detail: string };
};

/** By the message's id; one may be there twice, where it was refused and its server killed before it could say so. */
async function takeRejected(connection: Connection): Promise<Map<string, Rejected>> {
  const rejected = new Map<string, Rejected>();
  for (;;) {
    const message = await connection.basicGet({ queue: "tasktrack.rejected", noAck: true });
    if (message === undefined) return rejected;
    const said = message.body as Rejected; // as rejectionOf has made it
    rejected.set(said.key, said);
  }
}

async function restart(broker: RabbitmqServer): Promise<void> {
  await broker.signal("SIGTERM");
  await broker.start();
}

test(
  "each message becomes its task once, whoever is killed, and the bad ones are kept with their reason",
  async () => {
    const x = await openFlow({ ROLE: "api" });
    await x.server.start();
    const submitting = eventually(
      () =>
        x.connection.exchangeDeclare({ exchange: "tasktrack.submit", passive: true }).then(
          () => true,
          () => false,
        ),
      (there) => there,
    ).then(() => submitAll(x.connection));
    for (let kill = 1; kill <= KILLS; kill++) {
      const enough = (MESSAGES / (KILLS + 2)) * kill;
      await eventually(
        () => tasksOf(x.server),
        (tasks) => tasks.length >= enough,
        WITHIN_MS,
      );
      if (kill === 1) await restart(x.broker);
      await killAndStart(x.server);
    }
    await submitting;
    const bad = Array.from({ length: MESSAGES }, (_, n) => n).filter(isBad);
    const tasks = await eventually(
      () => tasksOf(x.server),
      (found) => found.length >= MESSAGES - bad.length,
      WITHIN_MS,
    );
    expect(await x.server.stop()).toBe(0);
    expect(new Set(tasks.map(({ name }) => name)).size).toBe(MESSAGES - bad.length);
    expect(tasks).toHaveLength(MESSAGES - bad.length);
    const { messageCount } = await x.connection.queueDeclare({ queue: "tasktrack.submit", passive: true });
    expect(messageCount).toBe(0);
    const rejected = await takeRejected(x.connection);
    expect([...rejected.keys()].sort()).toEqual(bad.map((n) => `m${n}`).sort());
    for (const { problem } of rejected.values()) {
      expect(problem).toMatchObject({ status: 400, detail: expect.stringContaining("/nome") });
    }
    report("tasks in, RabbitMQ", { messages: MESSAGES, kills: KILLS, rejected: rejected.size });
    await x.close();
  },
  WITHIN_MS,
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

test(
  "every change is told, each task's in order, and again only where the server died",
  async () => {
    const x = await openFlow({ SIMULATE_MIN: "1ms", SIMULATE_MAX: "5ms", WORKER_CONCURRENCY: "50" });
    const events: TaskEvent[] = [];
    const consumer = x.connection.createConsumer(
      {
        queue: "heard",
        queueOptions: { durable: true },
        exchanges: [{ exchange: "tasktrack.events", type: "topic", durable: true }],
        queueBindings: [{ exchange: "tasktrack.events", routingKey: "#" }],
      },
      ({ body }) => void events.push(body as TaskEvent), // as the outlet has made it
    );
    consumer.on("error", () => undefined);
    await new Promise<void>((resolve) => consumer.on("ready", () => resolve()));
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
    await eventually(missing, (count) => count === 0, 30_000);
    expect(await x.server.stop()).toBe(0);
    expect(versionsOf(events).size).toBe(created);
    for (const versions of versionsOf(events).values()) {
      expect(versions).toEqual(versions.toSorted((a, b) => a - b));
      expect(versions).toEqual(versions.map((_, at) => at + 1));
    }
    expect(repeatsIn(events)).toBeLessThanOrEqual(KILLS);
    expect(events.every(({ type }) => type === "simulate")).toBe(true);
    report("events out, RabbitMQ", { tasks: created, events: events.length, kills: KILLS });
    await consumer.close();
    await x.close();
  },
  WITHIN_MS,
);
