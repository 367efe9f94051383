/** The answers to clients while the store's server is down, while it does not answer, and after it is back. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type RunningApp, startApp } from "./support/app.ts";
import { openEvents } from "./support/events.ts";
import { eventually } from "./support/eventually.ts";
import { expectProblem } from "./support/problem.ts";
import { createPostgres, type PostgresServer } from "./support/servers/postgres.ts";
import { create } from "./support/verbs.ts";

let postgres: PostgresServer;
let server: RunningApp;
beforeAll(async () => {
  postgres = await createPostgres({ fsync: "off" });
  await postgres.start();
  server = await startApp({ ROLE: "api", STORE_URL: `${postgres.url}?connections=3` });
});
afterAll(async () => {
  await server.stop();
  await postgres.remove();
});

const isReady = (): Promise<boolean> => fetch(`${server.url}/readyz`).then(({ status }) => status === 200);
const becomesReady = (ready: boolean): Promise<boolean> => eventually(isReady, (answer) => answer === ready);

/** Each API call is answered with 503 and Retry-After. */
async function expectUnavailable(): Promise<void> {
  const calls = [
    fetch(`${server.url}/api/task`),
    fetch(`${server.url}/api/task/1`),
    fetch(`${server.url}/api/task/1?wait=10s`),
    fetch(`${server.url}/api/task`, { method: "POST", body: '{"name":"x"}' }),
    fetch(`${server.url}/api/task/999999`, { method: "DELETE" }),
    fetch(`${server.url}/api/events`),
  ];
  for (const response of await Promise.all(calls)) {
    expect(response.headers.get("retry-after")).toMatch(/^\d+$/);
    await expectProblem(response, { status: 503, code: "store_unavailable" });
  }
}

test.each([
  ["is killed", "SIGKILL"],
  ["stops answering", "SIGSTOP"],
] as const)(
  "while a store's server %s, calls get a 503 with Retry-After; streams and waits continue afterwards",
  async (_, signal) => {
    await becomesReady(true);
    const { engine } = server.app;
    const client = await openEvents(server.url);
    const id = await create(engine);
    const answer = fetch(`${server.url}/api/task/${id}?wait=60s`);
    await client.until(({ data }) => data.id === id);

    await postgres.signal(signal);

    const answered: string[] = [];
    const list = fetch(`${server.url}/api/task`).then(() => answered.push("a list"));
    await expectProblem(await fetch(`${server.url}/readyz`), { status: 503, code: "not_ready" });
    // The probe waits a second for a store, the list waits five seconds.
    if (signal === "SIGSTOP") expect(answered).toEqual([]);
    await list;
    expect((await fetch(`${server.url}/livez`)).status).toBe(200);
    await expectUnavailable();
    expect(client.isOver).toBe(false);

    if (signal === "SIGSTOP") await postgres.signal("SIGCONT");
    else await postgres.start();

    await becomesReady(true);
    await engine.cancel(id);
    await client.until(({ data }) => data.id === id && data.status === "cancelled");
    expect(await (await answer).json()).toMatchObject({ id, status: "cancelled" });
    expect(client.isOver).toBe(false);
    client.close();
  },
);
