/**
 * Published events when the store's change log gets a new epoch: after a restart, after a loss of its last changes, and after a
 * failover.
 */
import { afterEach, describe, expect, test } from "bun:test";
import type { EventOutput, TaskEvent } from "../src/broker/event-output.ts";
import { createEngine, type Engine } from "../src/engine/engine.ts";
import { createEventPublisher } from "../src/engine/event-publisher.ts";
import { systemClock } from "../src/lib/system-clock.ts";
import { openStore } from "../src/store/open.ts";
import type { TaskStore } from "../src/store/store.ts";
import { createStoreWakeUps } from "../src/wakeup/store-wake-ups.ts";
import { createTestLog } from "./support/engine.ts";
import { eventually } from "./support/eventually.ts";
import { BRIEF_PAUSES, command, redisSetup } from "./support/redis.ts";
import { createPostgres } from "./support/servers/postgres.ts";
import { createRedis } from "./support/servers/redis.ts";

const LEASE_MS = 30_000;
const WITHIN_MS = 60_000;

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A process that publishes events, and its broker. */
async function openPublisher(url: string) {
  const store = await openStore({ ...redisSetup(url, BRIEF_PAUSES), url });
  closing.push(store.close);
  const broker = { isAway: false, events: [] as TaskEvent[] };
  const output: EventOutput = {
    publish: async (events) => {
      if (broker.isAway) throw new Error("the broker is away");
      broker.events.push(...events);
    },
    close: async () => undefined,
  };
  const log = createTestLog();
  const engine = engineOn(store, log);
  await engine.start();
  closing.push(engine.close);
  const publisher = createEventPublisher({
    ...{ engine, store, output, clock: systemClock, log, holder: "holder", leaseMs: LEASE_MS },
  });
  await publisher.start();
  closing.push(() => publisher.stop(1_000));
  const published = (): ReadonlySet<number> => new Set(broker.events.map(({ id }) => id));
  return {
    ...{ engine, broker, log },
    create: (count: number) => createWhenAnswered(engine, count),
    /** Resolves when an event of each of these tasks was published. */
    publishes: (ids: readonly number[]) =>
      eventually(
        () => ids.filter((id) => !published().has(id)),
        (missing) => missing.length === 0,
        WITHIN_MS,
      ),
  };
}

const engineOn = (store: TaskStore, log: ReturnType<typeof createTestLog>): Engine =>
  createEngine({
    ...{ store, log, wakeUps: createStoreWakeUps(store), clock: systemClock },
    random: () => 0.5,
    nonce: () => "n",
    types: new Map(),
    pollMs: 1_000,
    retentions: [],
  });

/** Tries until the store accepts the tasks; it may still be starting. */
async function createWhenAnswered(engine: Engine, count: number): Promise<number[]> {
  const specs = Array.from({ length: count }, () => ({ name: "x" }));
  const create = async (): Promise<number[] | null> =>
    engine.create(specs).then(
      ({ tasks }) => tasks.map(({ id }) => id),
      () => null,
    );
  return (await eventually(create, (ids) => ids !== null, WITHIN_MS)) ?? [];
}

describe("changes that were committed and not published before a new epoch of the store are published after it", () => {
  test("when Redis is killed and started again", async () => {
    const server = await createRedis({ appendfsync: "always" });
    closing.push(server.remove);
    await server.start();
    const x = await openPublisher(server.url);
    await x.publishes(await x.create(10));
    x.broker.isAway = true;
    const waiting = await x.create(100);
    await server.signal("SIGKILL");
    await server.start();
    const later = await x.create(1);
    x.broker.isAway = false;
    await x.publishes([...waiting, ...later]);
    expect(x.broker.events.length).toBeLessThan(2 * 111);
    expect(x.log.events).toContain("events_new_epoch");
    expect(x.log.events).not.toContain("events_missed");
  });

  test("when Redis has lost the changes that were published last, and its log continues with the same numbers", async () => {
    const server = await createRedis({ appendonly: "no", save: "3600 1000000" });
    closing.push(server.remove);
    await server.start();
    const x = await openPublisher(server.url);
    await x.publishes(await x.create(10));
    await command(server, "SAVE");
    await x.publishes(await x.create(20));
    await server.signal("SIGKILL");
    await server.start();
    const later = await x.create(30);
    await x.publishes(later);
    expect(x.log.events).toContain("events_new_epoch");
  });

  test("when a PostgreSQL standby is promoted", async () => {
    const server = await createPostgres();
    closing.push(server.remove);
    await server.start();
    const x = await openPublisher(server.url);
    await x.publishes(await x.create(10));
    x.broker.isAway = true;
    const waiting = await x.create(100);
    await server.promote();
    const later = await x.create(1);
    x.broker.isAway = false;
    await x.publishes([...waiting, ...later]);
    expect(x.broker.events.length).toBeLessThan(2 * 111);
    expect(x.log.events).toContain("events_new_epoch");
    expect(x.log.events).not.toContain("events_missed");
  });
});

test("tasks that are created in an emptied Redis are published", async () => {
  const server = await createRedis();
  closing.push(server.remove);
  await server.start();
  const x = await openPublisher(server.url);
  await x.publishes(await x.create(10));
  x.broker.events.length = 0;
  await command(server, "FLUSHALL");
  const later = await x.create(5);
  expect(later).toEqual([1, 2, 3, 4, 5]);
  await x.publishes(later);
});
