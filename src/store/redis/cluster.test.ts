/** A Redis Cluster: all keys of a store are in one slot, which one node at a time has. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { eventually } from "../../../test/support/eventually.ts";
import {
  add,
  BRIEF_PAUSES,
  command,
  keysOf,
  openRedis,
  prefixOf,
  redisSetup,
  works,
} from "../../../test/support/redis.ts";
import { idOf, joinCluster } from "../../../test/support/redis-cluster.ts";
import { createRedis, type RedisServer } from "../../../test/support/servers/redis.ts";
import { freePort } from "../../../test/support/servers/runner.ts";
import { migrateStore } from "../open.ts";
import type { TaskStore } from "../store.ts";
import { createNodes, nodesIn } from "./nodes.ts";

let owner: RedisServer;
let other: RedisServer;
let replica: RedisServer;
const stores: TaskStore[] = [];

async function createNode(): Promise<RedisServer> {
  const node = await createRedis({
    "cluster-enabled": "yes",
    "cluster-port": String(await freePort()),
    "cluster-node-timeout": "60000", // no node counts as failed while the machine is busy
    "repl-diskless-sync-delay": "0",
  });
  await node.start();
  return node;
}

/** All nodes know each other and all slots; this node has them all, and one node is its replica. */
beforeAll(async () => {
  [owner, other, replica] = (await Promise.all([createNode(), createNode(), createNode()])) as [
    RedisServer,
    RedisServer,
    RedisServer,
  ];
  await joinCluster(owner, other, replica);
}, 300_000);

afterAll(async () => {
  await Promise.all(stores.map((store) => store.close()));
  for (const node of [owner, other, replica]) {
    await node.signal("SIGKILL");
    await node.remove();
  }
}, 300_000);

async function open(url: string) {
  const opened = await openRedis(url, BRIEF_PAUSES);
  stores.push(opened.store);
  return opened;
}

test("a store opens through any node: the owner of its slot, another primary, and a replica", async () => {
  const { url, store } = await open(owner.url);
  const { search } = new URL(url);
  await add(store);
  for (const node of [other, replica]) {
    const { store: peer } = await open(node.url + search);
    expect(await peer.count({})).toBe(1);
    expect(await migrateStore(redisSetup(node.url + search), true)).toMatchObject({ pending: [] });
  }
  expect((await keysOf(url)).length).toBeGreaterThan(5);
});

test("the store and its watchers follow a slot to another node; no id is given a second time", async () => {
  const { url, store, log } = await open(other.url);
  const { store: peer } = await open(url);
  const id = await add(store);
  const notified: unknown[] = [];
  peer.watch((due) => notified.push(...(due ?? [])));
  const slot = String(await command(owner, "CLUSTER", "KEYSLOT", prefixOf(url)));
  const [from, to] = [await idOf(owner), await idOf(other)];
  await command(other, "CLUSTER", "SETSLOT", slot, "IMPORTING", from);
  await command(owner, "CLUSTER", "SETSLOT", slot, "MIGRATING", to);
  await expect(add(store)).rejects.toThrow("Redis refuses: ASK"); // half of the keys are on the other node
  for (let left = 1; left > 0; ) {
    const keys = (await command(owner, "CLUSTER", "GETKEYSINSLOT", slot, "100")) as string[];
    left = keys.length;
    if (left > 0)
      await command(owner, "MIGRATE", "127.0.0.1", String(other.port), "", "0", "5000", "KEYS", ...keys);
  }
  for (const node of [other, owner]) await command(node, "CLUSTER", "SETSLOT", slot, "NODE", to);

  expect(await works(store)).toBeGreaterThan(id);
  expect(await works(peer)).toBeGreaterThan(id + 1);
  expect(await peer.count({})).toBe(3);
  const lost = log.logged.filter(({ event }) => event === "store_lost").map(({ fields }) => fields.message);
  expect(lost[0]).toInclude("has given the store's slot to another node of its cluster");
  await eventually(async () => {
    await add(store, { type: "job" });
    return notified.includes("job");
  }, Boolean);
});

test("if the node of STORE_URL is down, the other nodes are asked for the slot's owner", async () => {
  const { store } = await open(owner.url);
  const id = await add(store);
  await command(owner, "WAIT", "1", "10000");
  await owner.signal("SIGKILL");
  await command(replica, "CLUSTER", "FAILOVER", "TAKEOVER");
  expect(await works(store)).toBeGreaterThan(id);
});

test.each([
  ["MOVED 3999 10.0.0.7:6381", "redis://u:p@10.0.0.7:6381/0"],
  ["MOVED 3999 :6381", "redis://u:p@seed:6381/0"],
  ["MOVED 3999 fe80::7:6381", "redis://u:p@[fe80::7]:6381/0"],
  ["MOVED 3999 node-7.example.test:6381", "redis://u:p@node-7.example.test:6381/0"],
])("%s leads to %s", (message, url) => {
  const nodes = createNodes("redis://u:p@seed:6379/0");
  expect(nodes.follow(new Error(message))).toBe(true);
  expect(nodes.url()).toBe(url);
});

test("nodes are asked in turn, those of STORE_URL among them", () => {
  const nodes = createNodes("rediss://seed/0");
  expect(nodes.follow(new Error("LOADING"))).toBe(false);
  nodes.moveOn();
  expect(nodes.url()).toBe("rediss://seed:6379/0");
  nodes.setKnown(
    nodesIn(
      [[0, 16383, ["10.0.0.1", 7000, "id", []], ["", 7001, "id", []], [null, 7002, "id", []]]],
      "seed:6379",
    ),
  );
  const urls = Array.from({ length: 5 }, () => {
    nodes.moveOn();
    return nodes.url();
  });
  expect(urls).toEqual(
    ["10.0.0.1:7000", "seed:7001", "seed:7002", "seed:6379", "10.0.0.1:7000"].map(
      (host) => `rediss://${host}/0`,
    ),
  );
});
