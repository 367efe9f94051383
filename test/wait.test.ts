/** Requests for a task that wait for its end. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Clock } from "../src/core/clock.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createManualClock } from "./support/clock.ts";
import { eventually } from "./support/eventually.ts";
import { openMemoryServer } from "./support/memory-server.ts";
import { expectProblem } from "./support/problem.ts";
import { encode, exchange, openConnection } from "./support/raw.ts";
import { claim, create, DONE } from "./support/verbs.ts";

/** A request that is answered within this time has not waited until its own time limit, even on a slow machine. */
const LONG_BEFORE_60_S = 30_000;

type Seen = { readonly id: number; readonly status: string };

describe("GET /api/task/:id?wait=", () => {
  let server: RunningApp;
  beforeAll(async () => {
    server = await startApp({ ROLE: "api" });
  });
  afterAll(() => server.stop());

  const waitFor = async (id: number, wait: string): Promise<Seen> =>
    (await (await fetch(`${server.url}/api/task/${id}?wait=${wait}`)).json()) as Seen; // api.test.ts shows it

  test("is answered when the task ends", async () => {
    const { engine } = server.app;
    const id = await create(engine);
    const startedAt = performance.now();
    const answer = waitFor(id, "60s");
    const { token } = await claim(engine);
    await engine.settle(id, token, DONE);
    expect((await answer).status).toBe("done");
    expect(performance.now() - startedAt).toBeLessThan(LONG_BEFORE_60_S);
    expect((await waitFor(id, "60s")).status).toBe("done");
  });

  test.each(["0", "0s", "1ms", "200ms"])("is answered with the current task after %s", async (wait) => {
    const id = await create(server.app.engine);
    const startedAt = performance.now();
    expect(await waitFor(id, wait)).toMatchObject({ id, status: "pending" });
    if (wait === "200ms") expect(performance.now() - startedAt).toBeGreaterThan(190);
  });

  test("is a 404 at once if there is no task, and at the moment of its deletion", async () => {
    await expectProblem(await fetch(`${server.url}/api/task/999999?wait=60s`), {
      status: 404,
      code: "not_found",
    });
    const id = await create(server.app.engine);
    const answer = fetch(`${server.url}/api/task/${id}?wait=60s`);
    await server.app.engine.remove(id);
    await expectProblem(await answer, { status: 404, code: "not_found" });
  });

  test("is answered to a thousand clients at once", async () => {
    const { engine } = server.app;
    const id = await create(engine);
    const clients = Array.from({ length: 1_000 }, () => {
      const client = openConnection(server.url);
      client.write(encode({ target: `/api/task/${id}?wait=60s` }));
      return client;
    });
    const answers = Promise.all(clients.map((client) => client.read()));
    await engine.cancel(id);
    for (const response of await answers) expect(((await response.json()) as Seen).status).toBe("cancelled");
    for (const client of clients) client.close();
  });

  test("works for HEAD too", async () => {
    const id = await create(server.app.engine);
    const response = await exchange(server.url, { method: "HEAD", target: `/api/task/${id}?wait=1ms` });
    expect([response.status, await response.text()]).toEqual([200, ""]);
  });

  test("delays neither another request nor the shutdown of the server", async () => {
    const own = await startApp({ ROLE: "api" }, { clock: createManualClock() });
    const id = await create(own.app.engine);
    const answer = fetch(`${own.url}/api/task/${id}?wait=60s`);
    expect((await fetch(`${own.url}/api/task/${id}`)).status).toBe(200);
    const stopped = own.stop();
    expect((await answer).status).toBe(200);
    await stopped; // the clock does not move, so the stop waits for no time limit
  });

  test("ends when its client disconnects", async () => {
    const server = openMemoryServer();
    const watchers = (count: number) =>
      eventually(
        () => server.state.watchers,
        (now) => now === count,
      );
    const id = await create(server.engine);
    const clients = Array.from({ length: 20 }, () => {
      const client = openConnection(server.url);
      client.write(encode({ target: `/api/task/${id}?wait=60s` }));
      return client;
    });
    await watchers(1);
    for (const client of clients) client.close();
    await watchers(0);
    await server.close();
  });

  test("is refused with 503 when the store is away at its end", async () => {
    const server = openMemoryServer();
    const id = await create(server.engine);
    const answer = fetch(`${server.url}/api/task/${id}?wait=500ms`);
    await eventually(
      () => server.state.watchers,
      (watchers) => watchers === 1,
    );
    server.state.isAway = true;
    const response = await answer;
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    await expectProblem(response, { status: 503, code: "store_unavailable" });
    await server.close();
  });
});

/** A server that records the delays of its timers. A wait cannot be longer than its timer. */
async function startTimed() {
  const clock = createManualClock();
  const timers: number[] = [];
  const after: Clock["after"] = (delayMs, run) => {
    timers.push(delayMs);
    return clock.after(delayMs, run);
  };
  return { clock, timers, server: await startApp({ ROLE: "api" }, { clock: { ...clock, after } }) };
}

describe("a wait of 60 s is over after 45 s, because proxies end requests without an answer:", () => {
  const post = (path: string, body: unknown, headers: Record<string, string> = {}) => ({
    ...{ path, method: "POST", body: JSON.stringify(body) },
    headers: { "content-type": "application/json", ...headers },
  });
  const asks = { worker: "w", types: ["none"], wait: "60s" };

  test.each([
    ["?wait=", () => ({ path: "/api/task/2?wait=60s" }), 200],
    ["Prefer: wait", () => post("/api/task", { name: "x" }, { prefer: "wait=60" }), 202],
    ["a claim", () => post("/api/worker/claim", asks), 200],
    [
      "a claim that comes with an outcome",
      (token: string) => post("/api/task/1/complete", { token, result: null, claim: asks }),
      200,
    ],
  ] as const)("%s", async (_, requestOf, status) => {
    const { clock, timers, server } = await startTimed();
    const { engine } = server.app;
    await create(engine);
    const { token } = await claim(engine);
    await create(engine);
    const { path, ...init } = requestOf(token);
    const answer = fetch(server.url + path, init);
    const waits = (): number[] => timers.filter((ms) => ms === 45_000 || ms === 60_000);
    await eventually(waits, (some) => some.length > 0);
    expect(waits()).toEqual([45_000]);
    await clock.advance(45_000);
    const response = await answer;
    expect(response.status).toBe(status);
    if (status === 202) expect(response.headers.get("preference-applied")).toBe("wait=45");
    await server.stop();
  });
});
