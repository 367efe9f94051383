import { afterAll, beforeAll, expect, test } from "bun:test";
import { createWire, type Wire } from "../../../test/chaos/wire.ts";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { add, codeOf } from "../../../test/support/redis.ts";
import { createPostgres, type PostgresServer } from "../../../test/support/servers/postgres.ts";
import { openTestStore } from "../../../test/support/stores.ts";

let primary: PostgresServer;
let other: PostgresServer;
let clients: Wire;

beforeAll(async () => {
  [primary, other] = await Promise.all([createPostgres({ fsync: "off" }), createPostgres({ fsync: "off" })]);
  await Promise.all([primary.start(), other.start()]);
  clients = await createWire(primary.port);
}, 300_000);

afterAll(async () => {
  clients.close();
  await Promise.all([primary.remove(), other.remove()]);
}, 300_000);

const works = (code: string): boolean => code === "ok";

test("after a primary has become a standby, the store connects to the new primary by itself", async () => {
  await (await openTestStore(other.url)).close(); // creates the tables that the failover's target would have
  const log = createTestLog();
  const url = primary.url.replace(String(primary.port), String(clients.port));
  const store = await openTestStore(url, { log });
  await add(store);

  await primary.demote();
  await eventually(async () => {
    await codeOf(store.now()); // the sweep makes this call
    return log.logged.some(({ event }) => event === "store_read_only");
  }, Boolean);
  for (const call of [() => store.now(), () => add(store), () => store.get([1])]) {
    expect(await codeOf(call())).toBe("store_unavailable");
  }

  clients.turnTo(other.port);
  await eventually(() => codeOf(add(store)), works);
  expect(await codeOf(store.now())).toBe("ok");
  expect(log.logged.filter(({ event }) => event === "store_read_only")).toHaveLength(1);
  await store.close();
}, 300_000);

test("a store does not start on a standby, and the error asks for the primary", async () => {
  await expect(openTestStore(primary.url)).rejects.toThrow("takes no writes; name its primary");
}, 300_000);
