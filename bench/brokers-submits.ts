/**
 * Submissions by HTTP, by RabbitMQ and by Kafka to one PostgreSQL with fsync on. The time is measured until the tasks are stored,
 * not until a broker has confirmed the messages.
 */
import type { Broker, Message, Producer } from "./brokers-servers.ts";
import { CREATE_TASK } from "./load.ts";
import { cpuSeconds } from "./machine.ts";
import { figure, median, percentile, printTable, spread } from "./report.ts";
import { load, type Server, startTasktrack, stop } from "./servers.ts";
import type { PostgresStore } from "./stores.ts";

export type SubmitsSize = {
  readonly rounds: number;
  readonly warmUp: number;
  readonly tasks: number;
  readonly singles: number;
};

/** A producer for a server that has just started. */
interface Way {
  /** Submits this number of tasks; resolves with the seconds from the first send until all are stored. */
  submit(tasks: number): Promise<number>;
  /** Sends one more. */
  submitOne(): Promise<unknown>;
  close(): Promise<void>;
}

type Side = {
  readonly name: string;
  readonly broker: Broker | null;
  readonly env: Readonly<Record<string, string>>;
  readonly open: (server: Server, store: PostgresStore) => Promise<Way>;
};

type Measured = {
  readonly perSecond: number;
  /** From before the send until a query of the store finds the task. */
  readonly singlesMs: readonly number[];
  /** Shares of a core: the server's, the store's, the broker's. */
  readonly busy: readonly number[];
};

const WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 2;
const STILL_MS = 300;

// ---- the content of the store

const ask = async (store: PostgresStore, what: string): Promise<number> => {
  const [row] = (await store.sql().unsafe(`SELECT (${what})::float8 AS n FROM tasktrack.tasks`)) as [
    { n: number },
  ];
  return row.n;
};

/** The highest id, which is at the end of an index and cheap to read. */
const lastId = (store: PostgresStore): Promise<number> => ask(store, "coalesce(max(id), 0)");
const countStored = (store: PostgresStore): Promise<number> => ask(store, "count(*)");

const until = async (what: () => string, holds: () => Promise<boolean>, everyMs: number): Promise<void> => {
  const giveUpAt = performance.now() + WITHIN_MS;
  while (!(await holds())) {
    if (performance.now() > giveUpAt) {
      throw new Error(`${what()} after ${WITHIN_MS} ms`);
    }
    if (everyMs > 0) {
      await Bun.sleep(everyMs);
    }
  }
};

/** Batches may commit in any order, so the last id only shows when a count is worth its cost. */
const untilStored = async (store: PostgresStore, tasks: number): Promise<void> => {
  let stored = 0;
  const are =
    (look: typeof lastId): (() => Promise<boolean>) =>
    async () => {
      stored = await look(store);
      return stored >= tasks;
    };
  const what = (): string => `the store has ${stored} of ${tasks} tasks`;
  await until(what, are(lastId), LOOK_EVERY_MS);
  await until(what, are(countStored), LOOK_EVERY_MS);
};

/** The number of tasks after no more are created. */
const countAtRest = async (store: PostgresStore): Promise<number> => {
  let count = -1;
  const isStill = async (): Promise<boolean> => {
    const before = count;
    count = await countStored(store);
    return count === before;
  };
  await until(() => "tasks still come", isStill, STILL_MS);
  return count;
};

// ---- the producers

const byHttp = (connections: number): Side => ({
  name: `HTTP, ${connections} at once`,
  broker: null,
  env: {},
  open: async (server) => ({
    // After the last answer the last task is stored; the generator is a process, whose own time does not count.
    submit: async (tasks) => (await load(server, { kind: "create", requests: tasks, connections })).seconds,
    submitOne: () => postOne(server),
    close: async () => undefined,
  }),
});

const postOne = async (server: Server): Promise<void> => {
  const answer = await fetch(`http://127.0.0.1:${server.port}${CREATE_TASK.path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: CREATE_TASK.body,
  });
  await answer.arrayBuffer();
  if (answer.status !== CREATE_TASK.status) {
    throw new Error(`a create answered ${answer.status}`);
  }
};

type BrokerWay = { readonly events: "on" | "off"; readonly hasIds: boolean };

const byBroker = (broker: Broker, { events, hasIds }: BrokerWay): Side => ({
  name: [broker.name, ...(hasIds ? ["message ids"] : []), ...(events === "on" ? ["EVENTS=on"] : [])].join(
    ", ",
  ),
  broker,
  env: { QUEUE_URL: broker.url, EVENTS: events },
  open: async (_, store) => {
    const producer = await broker.openProducer();
    const messages = (count: number): Message[] =>
      Array.from({ length: count }, (_, n) => message(n, hasIds));
    await untilTaken(producer, store);
    return {
      submit: async (tasks) => {
        const [made, before] = [messages(tasks), await countStored(store)];
        const startedAt = performance.now();
        await Promise.all([producer.send(made), untilStored(store, before + tasks)]);
        return (performance.now() - startedAt) / 1000;
      },
      submitOne: () => producer.send(messages(1)),
      close: producer.close,
    };
  },
});

/** The generator's bodies. */
const message = (sequence: number, hasId: boolean): Message => ({
  body: Buffer.from(CREATE_TASK.body.replace(/0{8}/, String(sequence).padStart(8, "0"))),
  id: hasId ? crypto.randomUUID() : null,
});

/** The server declares its queue or topic when it has reached the broker; its start does not wait for that. */
const untilTaken = async (producer: Producer, store: PostgresStore): Promise<void> => {
  const comesThrough = async (): Promise<boolean> => {
    await producer.send([message(0, false)]).catch(() => undefined); // Kafka refuses messages without a topic
    return (await lastId(store)) > 0;
  };
  await until(() => "no task has come through the broker", comesThrough, STILL_MS);
  await countAtRest(store);
};

// ---- measuring

const measureSingles = async (way: Way, store: PostgresStore, singles: number): Promise<number[]> => {
  const times: number[] = [];
  let last = await lastId(store);
  for (let single = 0; single < singles; single += 1) {
    last += 1;
    const sentAt = performance.now();
    const sending = way.submitOne();
    await until(
      () => "a single task is not stored",
      async () => (await lastId(store)) >= last,
      0,
    );
    times.push(performance.now() - sentAt);
    await sending;
  }
  return times;
};

const measureSide = async (store: PostgresStore, side: Side, size: SubmitsSize): Promise<Measured> => {
  const { name, broker } = side;
  const server = await startTasktrack({ STORE_URL: await store.empty(), ROLE: "api", ...side.env });
  const way = await side.open(server, store);
  await way.submit(size.warmUp);
  const before = await countAtRest(store);
  await store.settle();
  const used = (): number[] => [cpuSeconds(server.pid), store.cpuSeconds(), broker?.cpuSeconds() ?? 0];
  const usedBefore = used();
  const seconds = await way.submit(size.tasks);
  const busy = used().map((now, at) => (now - (usedBefore[at] ?? 0)) / seconds);
  const singlesMs = await measureSingles(way, store, size.singles);
  const stored = (await countAtRest(store)) - before;
  await way.close();
  await stop(server);
  if (stored !== size.tasks + size.singles) {
    throw new Error(`${name}: ${size.tasks + size.singles} tasks were sent and ${stored} are stored`);
  }
  return { perSecond: size.tasks / seconds, singlesMs, busy };
};

type Results = ReadonlyMap<Side, Measured[]>;

const percent = (share: number): string => `${Math.round(share * 100)} %`;

const print = (results: Results): void => {
  const ratesOf = (measured: readonly Measured[]): number[] => measured.map(({ perSecond }) => perSecond);
  const base = median(ratesOf([...results.values()][0] ?? []));
  const rows = [...results].map(([{ name, broker }, measured]) => {
    const rates = ratesOf(measured);
    const singles = measured.flatMap(({ singlesMs }) => singlesMs);
    const busy = (at: number): string => percent(median(measured.map((one) => one.busy[at] ?? Number.NaN)));
    return [
      ...[name, figure(median(rates)), spread(rates), figure(median(rates) / base)],
      ...[0.5, 0.99].map((share) => figure(percentile(singles, share))),
      ...[busy(0), busy(1), broker === null ? "" : busy(2)],
    ];
  });
  const head = ["stored/s", "lowest to highest", "it / the first", "one, p50 ms", "p99 ms"];
  printTable([["into PostgreSQL", ...head, "server", "store", "broker"], ...rows]);
};

/** The sides take turns, each with an empty store. Each round begins with another side. */
export const measureSubmits = async (
  store: PostgresStore,
  [rabbitmq, kafka]: readonly [Broker, Broker],
  size: SubmitsSize,
): Promise<void> => {
  const sides = [
    byHttp(64),
    byHttp(256),
    byBroker(rabbitmq, { events: "off", hasIds: false }),
    byBroker(rabbitmq, { events: "off", hasIds: true }),
    byBroker(kafka, { events: "off", hasIds: false }),
    byBroker(rabbitmq, { events: "on", hasIds: false }),
    byBroker(kafka, { events: "on", hasIds: false }),
  ];
  const results: Results = new Map(sides.map((side) => [side, []]));
  for (let round = 0; round < size.rounds; round += 1) {
    const first = round % sides.length;
    for (const side of [...sides.slice(first), ...sides.slice(0, first)]) {
      results.get(side)?.push(await measureSide(store, side, size));
    }
  }
  print(results);
};
