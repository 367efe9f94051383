/** The work of a script must not grow with the number of types. It is counted in commands, because times depend on the machine. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { RedisClient } from "bun";
import { NOW, openRedis, prefixOf, removeKeys } from "../../../test/support/redis.ts";
import { createRedis, type RedisServer } from "../../../test/support/servers/redis.ts";
import { create, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { RunningTask } from "../../core/task.ts";
import type { Ask, TaskStore } from "../store.ts";

const FEW = 100;
const MANY = 5_000;
const BATCH = 1_000;
const KINDS = ["mail", "video", "image", "index"];

let server: RedisServer;
let client: RedisClient;
beforeAll(async () => {
  server = await createRedis();
  await server.start();
  client = new RedisClient(server.url);
});
afterAll(async () => {
  client.close();
  await server.remove();
});

const typeOf = (n: number): string => `${KINDS[n % KINDS.length]}.${String(n).padStart(5, "0")}`;

/** A task of each type; the first types are due first. */
async function addTypes(store: TaskStore, types: number): Promise<void> {
  for (let from = 0; from < types; from += BATCH) {
    const drafts = Array.from({ length: Math.min(BATCH, types - from) }, (_, n) =>
      create({ name: "a task", type: typeOf(from + n), runAt: NOW + from + n }, TYPE_DEFAULTS, NOW),
    );
    await store.insert([{ drafts, idempotency: null }], NOW);
  }
}

type Work = { readonly scripts: number; readonly commands: number };

/** Scripts since the last call, and the commands in them. */
async function workSince(deed: () => Promise<unknown>): Promise<Work> {
  await client.send("CONFIG", ["RESETSTAT"]);
  await deed();
  const info = String(await client.send("INFO", ["commandstats"]));
  const calls = [...info.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)].map(
    ([, name, n]) => [name, Number(n)] as const,
  );
  const isScript = (name: string | undefined): boolean => name === "evalsha" || name === "eval";
  const sum = (part: typeof calls): number => part.reduce((total, [, n]) => total + n, 0);
  return {
    scripts: sum(calls.filter(([name]) => isScript(name))),
    commands: sum(calls.filter(([name]) => !isScript(name) && name !== "config|resetstat")),
  };
}

type Case = { readonly asks: readonly Ask[]; readonly now?: number };

const ask = (types: readonly string[], max: number): Ask => ({ worker: "w", types, max, leaseMs: 60_000 });

async function claim(store: TaskStore, asks: readonly Ask[], now = NOW + MANY): Promise<RunningTask[][]> {
  return store.claim(asks, { now, nonce: "n" });
}

const typesOf = (tasks: readonly RunningTask[]): string[] => tasks.map(({ type }) => type);
const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, n) => typeOf(from + n));

describe("with many types", () => {
  let few: TaskStore;
  let many: TaskStore;
  beforeAll(async () => {
    [few, many] = [(await openRedis(server.url)).store, (await openRedis(server.url)).store];
    await addTypes(few, FEW);
    await addTypes(many, MANY);
    for (const store of [few, many]) await claim(store, [ask(["*"], 1)]); // the server has the script from now on
  });
  afterAll(() => Promise.all([few, many].map((store) => store.close())));

  /** The work of the same claim with few types and with many; both claims get the same tasks. */
  async function compare(asks: readonly Ask[], now?: number): Promise<readonly [Work, Work]> {
    const given: string[][] = [];
    const workOf = (store: TaskStore) =>
      workSince(async () => given.push((await claim(store, asks, now)).flatMap(typesOf)));
    const works = [await workOf(few), await workOf(many)] as const;
    expect(given[1]).toEqual(given[0] as string[]);
    return works;
  }

  test.each([
    ["one task of any type", { asks: [ask(["*"], 1)] }],
    ["twenty tasks of any type", { asks: [ask(["*"], 20)] }],
    ["a task of any type for each of 16 workers", { asks: Array.from({ length: 16 }, () => ask(["*"], 1)) }],
    ["a task of one type", { asks: [ask([typeOf(90)], 1)] }],
    ["no task, because no type is due", { asks: [ask(["*"], 5)], now: NOW - 1 }],
  ])("a claim of %s takes as many commands as with few", async (_, { asks, now }: Case) => {
    const [withFew, withMany] = await compare(asks, now);
    expect(withMany).toEqual(withFew);
  });

  test("a claim by a prefix that matches a quarter of the types takes about as many commands as with few types", async () => {
    const [withFew, withMany] = await compare([ask(["video.*"], 3)]);
    expect(withMany.scripts).toBe(withFew.scripts);
    expect(withMany.commands).toBeLessThan(withFew.commands + 5); // it walks through first tasks, and the other claim lists lanes
  });

  test("a claim finds a task of a rare type behind thousands of other tasks in one script", async () => {
    const rare = create({ name: "a task", type: "rare.1" }, TYPE_DEFAULTS, NOW);
    await many.insert([{ drafts: [rare], idempotency: null }], NOW);
    const work = await workSince(async () => {
      const [given = []] = await claim(many, [ask(["r*"], 10)]);
      expect(typesOf(given)).toEqual(["rare.1"]);
    });
    expect(work.scripts).toBe(1);
    expect(work.commands).toBeLessThan(40);
  });

  test("the type counts are read in pieces, and each type is counted", async () => {
    let counted = 0;
    const work = await workSince(async () => {
      const typeCounts = await many.typeCounts();
      counted = typeCounts.length;
      expect(typeCounts.every(({ counts }) => counts.pending + counts.running === 1)).toBe(true);
      expect(typeCounts.map(({ type }) => type)).toEqual(typeCounts.map(({ type }) => type).toSorted());
    });
    expect(counted).toBe(MANY + 1);
    expect(work.scripts).toBeGreaterThan(4);
    expect(work.commands / work.scripts).toBeLessThan(10);
  });
});

test("a claim by a prefix without due tasks skips thousands of due tasks in bounded scripts", async () => {
  const bounds = { listed: 10, looked: 200, countedAtOnce: 1_000 };
  const { store } = await openRedis(server.url, {}, bounds);
  await addTypes(store, 2_000);
  await claim(store, [ask(["video.*"], 1_000)]);
  const late = Array.from({ length: 50 }, (_, n) =>
    create({ name: "a task", type: `video.late${n}`, runAt: NOW + 2 * MANY }, TYPE_DEFAULTS, NOW),
  );
  await store.insert([{ drafts: late, idempotency: null }], NOW);
  const work = await workSince(async () => {
    expect(await claim(store, [ask(["video.*"], 10)])).toEqual([[]]);
  });
  expect(work.scripts).toBeGreaterThanOrEqual(1_500 / bounds.looked);
  expect(work.scripts).toBeLessThan(1_500 / bounds.looked + 3);
  expect(work.commands / work.scripts).toBeLessThan(40);
  await store.close();
});

test("a store of version 0.1.0 is upgraded in pieces: ids, positions and the order of claims stay", async () => {
  const { url, store } = await openRedis(server.url);
  await addTypes(store, 3_000);
  const { position } = await store.changes(null, 1);
  await store.close();
  // Deletes the keys that 0.1.0 did not have.
  const serverKey = `${prefixOf(url)}house`;
  await removeKeys(url, "first*");
  await removeKeys(url, "priorities");
  await client.hdel(serverKey, "replid");
  await client.hset(serverKey, "schema", "1");

  const { store: next } = await openRedis(url);
  expect((await next.changes(position, 1)).kind).toBe("changes");
  const [given = []] = await claim(next, [ask(["*"], 600)]);
  expect(typesOf(given)).toEqual(range(0, 600));
  expect(given.map(({ id }) => id)).toEqual(Array.from({ length: 600 }, (_, n) => n + 1));
  expect(await client.hget(serverKey, "schema")).toBe("2");
  await next.close();
});

test("later writes of a process of version 0.1.0 are found at the next start", async () => {
  const { url, store } = await openRedis(server.url);
  await addTypes(store, 3);
  const lane = (n: number): string => `"${typeOf(n)}":0`;
  const key = (name: string): string => prefixOf(url) + name;
  // Moves tasks as 0.1.0 does, without the stored first tasks: one to another lane, one to an earlier time.
  const members = await Promise.all([0, 1, 2].map((n) => client.zrange(key(`lane:${lane(n)}`), 0, 0)));
  await client.send("ZREM", [key(`lane:${lane(0)}`), String(members[0])]);
  await client.send("ZREM", [key("lanes"), lane(0)]);
  await client.send("ZADD", [key(`lane:${lane(3)}`), String(NOW - 2), String(members[0])]);
  await client.send("ZADD", [key("lanes"), "0", lane(3)]);
  await client.send("ZADD", [key(`lane:${lane(2)}`), String(NOW - 1), String(members[2])]);
  const { store: next } = await openRedis(url);
  const [given = []] = await claim(next, [ask(["*"], 10)]);
  expect(given.map(({ id }) => id)).toEqual([1, 3, 2]);
  await Promise.all([store.close(), next.close()]);
});
