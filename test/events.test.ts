/** Changes of tasks as clients of the event stream receive them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "../src/engine/engine.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createManualClock } from "./support/clock.ts";
import { openEvents, type SeenEvent } from "./support/events.ts";
import { eventually } from "./support/eventually.ts";
import { openMemoryServer } from "./support/memory-server.ts";
import { expectProblem } from "./support/problem.ts";
import { encode, exchange, openConnection } from "./support/raw.ts";
import { sharedPostgres, sharedRedis } from "./support/servers/shared.ts";
import { uniqueName } from "./support/stores.ts";
import { claim, create, DONE } from "./support/verbs.ts";

const isTask =
  (id: number, status?: string) =>
  ({ event, data }: SeenEvent): boolean =>
    event === "task" && data.id === id && (status === undefined || data.status === status);
const isDeleted =
  (id: number) =>
  ({ event, data }: SeenEvent): boolean =>
    event === "deleted" && data.id === id;
const isReset = ({ event }: SeenEvent): boolean => event === "reset";

/** The state that a client has after these events: id → status. */
function mirror(events: readonly SeenEvent[], known: ReadonlyMap<number, string> = new Map()) {
  const tasks = new Map(known);
  for (const { event, data } of events) {
    if (event === "task") tasks.set(Number(data.id), String(data.status));
    if (event === "deleted") tasks.delete(Number(data.id));
  }
  return tasks;
}

const home = await mkdtemp(join(tmpdir(), "tasktrack-events-"));
afterAll(() => rm(home, { recursive: true }));

const name = uniqueName("events");
const STORES: readonly (readonly [string, string])[] = [
  ["memory", "memory:"],
  ["SQLite", `sqlite:${join(home, "tasks.db")}`],
  ["PostgreSQL", `${sharedPostgres()}?schema=${name}&connections=3`],
  ["Redis", `${sharedRedis()}?prefix=${name}`],
];

describe.each(STORES)("events of a store in %s", (_, STORE_URL) => {
  let server: RunningApp;
  let engine: Engine;
  beforeAll(async () => {
    server = await startApp({ ROLE: "api", STORE_URL });
    engine = server.app.engine;
  });
  afterAll(() => server.stop());

  test("have every change of a task, each with an id, and its end", async () => {
    const client = await openEvents(server.url);
    expect(client.response.status).toBe(200);
    expect(client.response.headers.get("content-type")).toBe("text/event-stream");
    expect(client.response.headers.get("cache-control")).toBe("no-store");
    const id = await create(engine, {
      name: "one\r\n\r\ndata: two\u2028",
      description: "event: deleted\n\n",
    });
    await client.until(isTask(id, "pending"));
    const { token } = await claim(engine);
    await client.until(isTask(id, "running"));
    await engine.settle(id, token, DONE);
    await client.until(isTask(id, "done"));
    await engine.remove(id);
    const seen = await client.until(isDeleted(id));
    expect(seen.map(({ event, data }) => [event, data.status])).toEqual([
      ["task", "pending"],
      ["task", "running"],
      ["task", "done"],
      ["deleted", undefined],
    ]);
    expect(seen.at(-1)?.data).toEqual({ id });
    expect(new Set(seen.map((event) => event.id)).size).toBe(4);
    for (const event of seen) expect(event.id).toMatch(/^[\w-]+$/);
    client.close();
  });

  test("contain the task as GET returns it, without payload and result", async () => {
    const client = await openEvents(server.url);
    const id = await create(engine, { payload: '{"secret":1}', tags: ["a"], priority: 3 });
    const [event] = await client.until(isTask(id));
    const task = (await (await fetch(`${server.url}/api/task/${id}`)).json()) as Record<string, unknown>;
    const { payload, result, ...rest } = task;
    expect(payload).toEqual({ secret: 1 });
    expect(result).toBeNull();
    expect(event?.data).toEqual(rest);
    expect(Object.keys(event?.data ?? {})).toEqual(Object.keys(rest));
    client.close();
    await engine.remove(id);
  });

  test("begin with the next change without Last-Event-ID", async () => {
    await create(engine);
    const client = await openEvents(server.url);
    const id = await create(engine);
    expect((await client.until(isTask(id))).map(({ data }) => data.id)).toEqual([id]);
    client.close();
  });

  test("of a task that changes often have its latest state at least once", async () => {
    const client = await openEvents(server.url);
    const id = await create(engine, { name: "first" });
    for (let n = 0; n < 100; n++) await engine.edit(id, { name: `name ${n}` });
    await client.until(({ data }) => data.name === "name 99");
    expect(client.events.length).toBeLessThan(100);
    expect(client.events.at(-1)?.data.name).toBe("name 99");
    client.close();
  });

  // ---- filters

  test("of some tasks are only of these, including their deletions", async () => {
    const [a, b, c] = [await create(engine), await create(engine), await create(engine)];
    const client = await openEvents(server.url, { query: `?task=${a}&task=${c}` });
    for (const id of [b, a, c]) {
      await engine.cancel(id);
      await engine.remove(id);
    }
    const seen = await client.until(isDeleted(c));
    expect(new Set(seen.map(({ data }) => data.id))).toEqual(new Set([a, c]));
    client.close();
  });

  test("of some types are only of these, exact or by prefix, and of all deletions", async () => {
    const exact = await openEvents(server.url, { query: "?type=video.cut" });
    const prefix = await openEvents(server.url, { query: "?type=video.*&type=mail" });
    const ids: number[] = [];
    for (const type of ["video", "video.cut", "video.mix", "mail", "mails"])
      ids.push(await create(engine, { type }));
    const [last = 0] = ids.slice(-1);
    await engine.remove(last);
    await exact.until(isDeleted(last));
    await prefix.until(isDeleted(last));
    const types = (events: readonly SeenEvent[]) => events.map(({ data }) => data.type ?? "gone");
    expect(types(exact.events)).toEqual(["video.cut", "gone"]);
    expect(types(prefix.events)).toEqual(["video.cut", "video.mix", "mail", "gone"]);
    exact.close();
    prefix.close();
  });

  test("of some statuses are of tasks that have one of these statuses now", async () => {
    const client = await openEvents(server.url, { query: "?status=done&status=cancelled" });
    const id = await create(engine, { type: "for-status" });
    await engine.edit(id, { name: "changed" });
    await engine.cancel(id);
    await client.until(isTask(id, "cancelled"));
    await engine.retry(id);
    await engine.cancel(id);
    const marker = await create(engine);
    await engine.cancel(marker);
    await client.until(isTask(marker));
    expect(new Set(client.events.map(({ data }) => data.status))).toEqual(new Set(["cancelled"]));
    client.close();
  });

  // ---- reconnects

  test("are resumed after any id without missing a task's latest state or its end", async () => {
    const first = await openEvents(server.url);
    const ids: number[] = [];
    for (let n = 0; n < 30; n++) ids.push(await create(engine, { type: "for-resume" }));
    await first.until(isTask(ids.at(-1) ?? 0));
    await Promise.all(ids.slice(0, 20).map((id) => engine.cancel(id)));
    await Promise.all(ids.slice(0, 10).map((id) => engine.remove(id)));
    const marker = await create(engine);
    await first.until(isTask(marker));
    const events = [...first.events];
    first.close();
    const expected = mirror(events);
    expect([...expected.values()].filter((status) => status === "cancelled")).toHaveLength(10);
    for (let at = 0; at < events.length; at += 3) {
      const known = mirror(events.slice(0, at + 1));
      const again = await openEvents(server.url, { lastEventId: events[at]?.id ?? "" });
      if (at < events.length - 1) await again.until(isTask(marker));
      expect(mirror(again.events, known)).toEqual(expected);
      again.close();
    }
  });

  test("are resumed from the beginning by a client that has received none yet", async () => {
    const first = await openEvents(server.url);
    expect(first.events).toEqual([]);
    first.close();
    const id = await create(engine);
    const again = await openEvents(server.url, { lastEventId: first.lastEventId });
    expect((await again.until(isTask(id))).length).toBe(1);
    again.close();
  });

  test.each([
    ["of another store", Buffer.from("1:other").toString("base64url")],
    ["from the future", "OTk5OTk5OTk5OmFiYw"],
    ["of a store without a name", Buffer.from("1:").toString("base64url")],
    ["that is invalid", "nonsense"],
    ["that is a number", "7"],
  ])("after an id %s begin with a reset, and its id may be resumed from", async (_, lastEventId) => {
    const client = await openEvents(server.url, { lastEventId });
    const [reset] = await client.until(isReset);
    expect(reset?.data).toEqual({});
    client.close();
    const id = await create(engine);
    const again = await openEvents(server.url, { lastEventId: reset?.id ?? "" });
    const seen = await again.until(isTask(id));
    expect(seen.filter(isReset)).toEqual([]);
    again.close();
  });

  // ---- many clients, and the end of a stream

  test("are the same for a hundred clients", async () => {
    const clients = await Promise.all(Array.from({ length: 100 }, () => openEvents(server.url)));
    const id = await create(engine);
    for (const client of clients) {
      await client.until(isTask(id));
      client.close();
    }
  });

  test("are not sent for HEAD, which ends", async () => {
    const response = await exchange(server.url, { method: "HEAD", target: "/api/events" });
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    expect(await response.text()).toBe("");
  });
});

describe("an event stream", () => {
  test("after an id that is too old begins with a reset", async () => {
    const server = openMemoryServer();
    const first = await openEvents(server.url);
    first.close();
    for (let n = 0; n < 140; n++) await server.engine.create(Array(1_000).fill({ name: "x" }));
    const again = await openEvents(server.url, { lastEventId: first.lastEventId });
    await again.until(isReset);
    again.close();
    await server.close();
  });

  test("releases all its resources when its client disconnects", async () => {
    const server = openMemoryServer();
    const clients = await Promise.all(Array.from({ length: 20 }, () => openEvents(server.url)));
    const watches = (count: number) =>
      eventually(
        () => server.state.watchers,
        (watchers) => watchers === count,
      );
    await watches(1);
    for (const client of clients.slice(1)) client.close();
    const id = await create(server.engine);
    await clients[0]?.until(isTask(id));
    expect(server.state.watchers).toBe(1);
    clients[0]?.close();
    await watches(0);
    await server.close();
  });

  test("sends a comment every 15 seconds, and can be resumed from its id", async () => {
    const clock = createManualClock();
    const server = openMemoryServer({ clock });
    const client = await openEvents(server.url, { query: "?type=none" });
    const began = client.lastEventId;
    await create(server.engine);
    await clock.advance(1_000);
    await clock.advance(13_999);
    expect(client.comments).toHaveLength(1);
    await clock.advance(1);
    await eventually(
      () => client.comments.length,
      (count) => count === 2,
    );
    expect(client.events).toEqual([]);
    expect(client.lastEventId).not.toBe(began);
    await clock.advance(30_000);
    await eventually(
      () => client.comments.length,
      (count) => count === 4,
    );
    client.close();
    await server.close();
  });

  test("of a client that does not read is closed when it is 256 KiB behind, and the client resumes", async () => {
    const server = openMemoryServer();
    const stuck = openConnection(server.url);
    stuck.write(encode({ target: "/api/events" }));
    await eventually(
      () => server.state.watchers,
      (watchers) => watchers === 1,
    );
    stuck.pause();
    const description = "x".repeat(10_000);
    const count = 2_000; // more than the buffers of both ends hold
    for (let n = 0; n < count; n += 500) {
      await server.engine.create(Array(500).fill({ name: "x", description }));
    }
    await eventually(
      () => server.state.watchers,
      (watchers) => watchers === 0,
    );
    stuck.close();
    const lastEventId = Buffer.from("0:memory").toString("base64url");
    const client = await openEvents(server.url, { lastEventId });
    await client.until(isTask(count));
    expect(mirror(client.events).size).toBe(count);
    client.close();
    await server.close();
  });

  test("stays open while the store is away, and misses no change", async () => {
    const server = openMemoryServer();
    const client = await openEvents(server.url);
    const id = await create(server.engine);
    await client.until(isTask(id));
    server.state.isAway = true;
    await server.engine.create([{ name: "made meanwhile" }]);
    const late = await openEvents(server.url, { lastEventId: client.lastEventId });
    await expectProblem(await fetch(`${server.url}/api/events`), { status: 503, code: "store_unavailable" });
    await expectProblem(await fetch(`${server.url}/api/task/${id}`), {
      status: 503,
      code: "store_unavailable",
    });
    expect([client.isOver, late.isOver]).toEqual([false, false]);
    server.state.isAway = false;
    await client.until(isTask(id + 1));
    await late.until(isTask(id + 1));
    expect([client.isOver, late.isOver]).toEqual([false, false]);
    client.close();
    late.close();
    await server.close();
  });

  test("is ended when the server stops; the server does not wait for streams", async () => {
    const server = await startApp({ ROLE: "api" }, { clock: createManualClock() });
    const clients = await Promise.all(Array.from({ length: 20 }, () => openEvents(server.url)));
    await server.stop(); // the clock does not move, so the stop waits for no time limit
    await eventually(
      () => clients.filter(({ isOver }) => isOver).length,
      (over) => over === clients.length,
    );
  });
});
