/** The answers to clients after the primary of a store has become a replica, and after its address leads to the new primary. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createWire, type Wire } from "./chaos/wire.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { eventually } from "./support/eventually.ts";
import { expectProblem } from "./support/problem.ts";
import { command } from "./support/redis.ts";
import { createRedis, type RedisServer } from "./support/servers/redis.ts";

let primary: RedisServer;
let other: RedisServer;
let clients: Wire;
let server: RunningApp;

beforeAll(async () => {
  [primary, other] = await Promise.all([createRedis(), createRedis()]);
  await Promise.all([primary.start(), other.start()]);
  clients = await createWire(primary.port);
  server = await startApp({ ROLE: "api", STORE_URL: `redis://127.0.0.1:${clients.port}` });
}, 300_000);

afterAll(async () => {
  await server.stop();
  clients.close();
  for (const redis of [primary, other]) {
    await redis.signal("SIGKILL"); // SIGKILL, because it ignores SIGTERM while it rewrites its log as a new replica
    await redis.remove();
  }
}, 300_000);

const create = () => fetch(`${server.url}/api/task`, { method: "POST", body: '{"name":"x"}' });
const readiness = () => fetch(`${server.url}/readyz`).then(({ status }) => status);

test("after a Redis primary becomes a replica, /readyz and writes are 503 until the new primary is found", async () => {
  expect((await create()).status).toBe(201);
  expect(await readiness()).toBe(200);

  await command(primary, "REPLICAOF", "127.0.0.1", "1"); // no primary answers there

  await eventually(readiness, (status) => status === 503);
  const problem = await expectProblem(await fetch(`${server.url}/readyz`), {
    status: 503,
    code: "not_ready",
  });
  expect(problem.detail).toMatch(/replica|READONLY/);
  const refused = await create();
  expect(refused.headers.get("retry-after")).toMatch(/^\d+$/);
  await expectProblem(refused, { status: 503, code: "store_unavailable" });
  expect((await fetch(`${server.url}/livez`)).status).toBe(200);

  clients.turnTo(other.port);
  await eventually(readiness, (status) => status === 200);
  expect((await create()).status).toBe(201);
}, 300_000);
