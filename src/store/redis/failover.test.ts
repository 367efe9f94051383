import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { createWire, type Wire } from "../../../test/chaos/wire.ts";
import { eventually } from "../../../test/support/eventually.ts";
import {
  add,
  BRIEF_PAUSES,
  codeOf,
  command,
  openRedis,
  prefixOf,
  redisSetup,
  watched,
  works,
} from "../../../test/support/redis.ts";
import { createRedis, type RedisServer } from "../../../test/support/servers/redis.ts";
import type { TaskId } from "../../core/task.ts";
import type { TaskStore } from "../store.ts";
import { openRedisStore } from "./store.ts";

/** A primary and its replica, the link between them, and the address under which clients find the primary. */
let primary: RedisServer;
let replica: RedisServer;
let replication: Wire;
let clients: Wire;
const stores: TaskStore[] = [];

/** The number of ids that the store skips once for all processes, see `idsToSkip`. */
const SKIPPED = 100_000;

/** Otherwise a primary waits 5 s before it sends its data. */
const SETTINGS = { appendfsync: "always", "repl-diskless-sync-delay": "0" };

beforeEach(async () => {
  [primary, replica] = await Promise.all([createRedis(SETTINGS), createRedis(SETTINGS)]);
  await Promise.all([primary.start(), replica.start()]);
  [replication, clients] = await Promise.all([createWire(primary.port), createWire(primary.port)]);
});

afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
  replication.close();
  clients.close();
  await Promise.all([primary, replica].map(end));
});

/** Redis refuses to end by SIGTERM while it rewrites its log after it became a replica. */
async function end(server: RedisServer): Promise<void> {
  await server.signal("SIGKILL");
  await server.remove();
}

const clientUrl = () => `redis://127.0.0.1:${clients.port}`;

async function open(url = clientUrl()) {
  const opened = await openRedis(url, BRIEF_PAUSES);
  stores.push(opened.store);
  return opened;
}

/** Makes the server a replica of the one that listens on this port of the host, and waits until it has all the data. */
async function follow(server: RedisServer, port: number): Promise<void> {
  const host = server.pid() === null ? "host.docker.internal" : "127.0.0.1"; // as the server sees the host
  await command(server, "REPLICAOF", host, String(port));
  await eventually(
    () => command(server, "INFO", "replication"),
    (info) => String(info).includes("master_link_status:up"),
  );
}

const promote = (server: RedisServer) => command(server, "REPLICAOF", "NO", "ONE");

/** Tasks that the primary acknowledges and the replica never receives. */
async function addUnreplicated(store: TaskStore): Promise<TaskId[]> {
  replication.hold();
  return [await add(store), await add(store), await add(store)];
}

describe("a replica that lagged behind a primary with appendfsync always, and was promoted,", () => {
  test("gives no id a second time and begins a new epoch", async () => {
    const { url, store } = await open();
    await follow(replica, replication.port);
    const kept = await add(store);
    const serverKey = `${prefixOf(url)}house`;
    await eventually(
      () => command(replica, "HGET", serverKey, "id"),
      (id) => id === String(kept),
    );
    const lost = await addUnreplicated(store);
    const { position } = await store.changes(null, 1);

    clients.turnTo(replica.port);
    await primary.signal("SIGKILL");
    await promote(replica);

    expect(await works(store)).toBeGreaterThan(Math.max(...lost));
    expect(await store.get([kept])).not.toEqual([null]);
    expect(await store.get(lost)).toEqual(lost.map(() => null));
    expect((await store.changes(position, 10)).kind).toBe("gone");
  });

  test("skips ids once, also with several processes", async () => {
    const { url, store } = await open();
    const { store: peer } = await open(url);
    await follow(replica, replication.port);
    const last = Math.max(...(await addUnreplicated(store)));

    clients.turnTo(replica.port);
    await primary.signal("SIGKILL");
    await promote(replica);

    for (const one of [store, peer]) {
      const id = await works(one);
      expect(id).toBeGreaterThan(last);
      expect(id).toBeLessThan(last + 2 * SKIPPED);
    }
  });
});

describe("a primary that became a replica", () => {
  test("is left at the first write: the store connects to the new primary by itself", async () => {
    const { store, log } = await open();
    await follow(replica, replication.port);
    const id = await add(store);

    clients.turnTo(replica.port);
    await promote(replica);
    await follow(primary, replica.port);

    expect(await works(store)).toBeGreaterThan(id);
    expect(await codeOf(store.now())).toBe("ok");
    const said = log.logged.filter(({ event }) => event === "store_lost");
    expect(said.map(({ fields }) => fields.message)).toEqual([
      expect.stringContaining("is a replica and takes no writes"),
    ]);
  });

  test("by FAILOVER is left: the store connects to the new primary by itself", async () => {
    const { store } = await open();
    await follow(replica, primary.port);
    const id = await add(store);
    await command(primary, "FAILOVER");
    await eventually(
      () => command(primary, "ROLE"),
      (answer) => (answer as string[])[0] === "slave",
    );
    clients.turnTo(replica.port);
    expect(await works(store)).toBeGreaterThan(id);
    expect(await codeOf(store.now())).toBe("ok");
  });

  test("is also left without a write, and the store is not ready there", async () => {
    const { store, log } = await open();
    await follow(primary, replica.port);
    const refused = () => codeOf(store.now());
    await eventually(refused, (code) => code === "store_unavailable");
    for (let n = 0; n < 20; n++) expect(await refused()).toBe("store_unavailable");
    expect(await codeOf(add(store))).toBe("store_unavailable");
    await eventually(
      () => log.logged.filter(({ event }) => event === "store_away").length,
      (count) => count > 0,
    );

    clients.turnTo(replica.port);
    await works(store);
    expect(await codeOf(store.now())).toBe("ok");
    // It is logged once that the server is a replica, although it was asked many times.
    expect(log.logged.filter(({ event }) => event === "store_away")).toHaveLength(1);
    expect(log.logged.filter(({ event }) => event === "store_back")).toHaveLength(1);
  });

  test("and was promoted again during an open connection gives no id a second time", async () => {
    const { store } = await open();
    await follow(replica, replication.port);
    const lost = await addUnreplicated(store);
    const { position } = await store.changes(null, 1);

    await promote(replica);
    await follow(primary, replica.port);
    await promote(primary);

    expect(await works(store)).toBeGreaterThan(Math.max(...lost));
    expect((await store.changes(position, 10)).kind).toBe("gone");
  });

  test("is also left by watchers: they are notified of commits at the new primary", async () => {
    const { url, store } = await open();
    const notified = await watched(store);
    await follow(replica, replication.port);
    clients.turnTo(replica.port);
    await promote(replica);
    await command(primary, "REPLICAOF", "127.0.0.1", "1"); // a primary that is not there: nothing is passed on
    await works(store);
    const { store: peer } = await open(url);
    await eventually(async () => {
      await add(peer, { type: "job" });
      return notified.some((due) => due?.includes("job"));
    }, Boolean);
  });
});

test("a first replica changes the replication id of the primary; the store does not take that for a loss", async () => {
  const { url, store } = await open();
  const id = await add(store);
  const { position } = await store.changes(null, 1);
  await follow(replica, replication.port);
  expect(await add(store)).toBe(id + 1);
  const { store: peer } = await open(url);
  expect(await add(peer)).toBe(id + 2);
  expect((await store.changes(position, 10)).kind).toBe("changes");
});

test("a store does not start on a replica, and the error asks for the primary", async () => {
  await follow(replica, primary.port);
  const refused = openRedisStore(redisSetup(replica.url));
  await expect(refused).rejects.toThrow(
    "STORE_URL: this Redis is a replica and takes no writes; name its primary",
  );
});
