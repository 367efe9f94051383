/** One server in several processes, which share a port and a store and end together. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { SQL } from "bun";
import { openEvents } from "./support/events.ts";
import { eventually } from "./support/eventually.ts";
import { expectProblem } from "./support/problem.ts";
import { exchange } from "./support/raw.ts";
import { killLeftovers, type LogEvent, type ServerProcess, tasktrack } from "./support/server-process.ts";
import { sharedPostgres } from "./support/servers/shared.ts";

const SCHEMA = "processes";
const STORE_URL = `${sharedPostgres()}?schema=${SCHEMA}&connections=3`;
const HERE = {
  HTTP_HOST: "127.0.0.1",
  HTTP_PORT: "0",
  STORE_URL,
  DISPATCH_INTERVAL: "0s",
  SHUTDOWN_GRACE: "1s",
};
const QUICK = { SIMULATE_MIN: "10ms", SIMULATE_MAX: "20ms", SIMULATE_FAILURE_RATE: "0" };

const dropSchema = async (): Promise<void> => {
  const sql = new SQL(sharedPostgres(), { max: 1 });
  await sql.unsafe(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE`);
  await sql.close();
};
beforeAll(dropSchema);
afterEach(killLeftovers);
afterAll(dropSchema);

const serve = (env: Record<string, string> = {}, ...flags: string[]): ServerProcess =>
  tasktrack(["serve", ...flags], { env: { ...HERE, ...QUICK, ...env } });

const named = (server: ServerProcess, event: string): LogEvent[] =>
  server.events().filter((logged) => logged.event === event);
const pidsOf = (events: readonly LogEvent[]): number[] => events.map(({ pid }) => Number(pid));

/** Resolves with the pids of the processes when this number of them listens. */
const listening = async (server: ServerProcess, count: number): Promise<number[]> =>
  pidsOf(
    await eventually(
      () => named(server, "listening"),
      (events) => events.length >= count,
    ),
  );

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};
async function create(url: string): Promise<number> {
  const response = await exchange(url, { method: "POST", target: "/api/task", body: '{"name":"x"}' });
  return ((await response.json()) as { task_id: number }).task_id; // api.test.ts shows it
}

describe("--processes", () => {
  test("serve one port, share one store and send events of each other's tasks", async () => {
    const server = serve({}, "--processes", "3");
    const url = await server.url();
    const pids = await listening(server, 3);
    expect(new Set(pids).size).toBe(3);
    expect(new Set(named(server, "listening").map((event) => event.url)).size).toBe(1);
    const watchers = await Promise.all(Array.from({ length: 6 }, () => openEvents(url)));
    const ids = await Promise.all(Array.from({ length: 30 }, () => create(url)));
    expect(new Set(ids).size).toBe(30);
    for (const id of ids) {
      const answer = await exchange(url, { target: `/api/task/${id}?wait=20s` });
      expect(((await answer.json()) as { status: string }).status).toBe("done");
    }
    for (const watcher of watchers) {
      for (const id of ids) await watcher.until(({ data }) => data.id === id && data.status === "done");
      watcher.close();
    }
    server.kill("SIGTERM");
    expect(await server.ended).toMatchObject({ code: 0, stderr: "" });
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test("are restarted when they die, while the others serve", async () => {
    const server = serve({ PROCESSES: "2" });
    const url = await server.url();
    const [first = 0] = await listening(server, 2);
    process.kill(first, "SIGKILL");
    const [, , third] = await listening(server, 3);
    expect(third).not.toBe(first);
    expect(named(server, "process_ended")).toMatchObject([{ ended_pid: first, signal: "SIGKILL" }]);
    for (let n = 0; n < 10; n++) expect((await exchange(url, { target: "/livez" })).status).toBe(200);
    server.kill("SIGINT");
    expect((await server.ended).code).toBe(0);
  });

  test("continue when their log is not read, and end at SIGHUP", async () => {
    const server = serve({ LOG_LEVEL: "debug" }, "--processes", "2");
    const url = await server.url();
    const pids = await listening(server, 2);
    server.closeOutput();
    for (let n = 0; n < 20; n++) expect(await create(url)).toBeGreaterThan(0);
    expect(pids.every(isAlive)).toBe(true);
    server.kill("SIGHUP");
    expect((await server.ended).code).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
  });

  test.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)(
    "end together when their whole group gets %s",
    async (signal) => {
      const server = serve({ PROCESSES: "2" });
      const pids = await listening(server, 2);
      server.killGroup(signal);
      expect((await server.ended).code).toBe(0);
      expect(pids.filter(isAlive)).toEqual([]);
      expect(named(server, "stopped")).toHaveLength(2);
      expect(named(server, "stopped_at_once")).toEqual([]);
    },
  );

  test("end at once at a second signal that is not a copy of the first", async () => {
    const server = serve({
      PROCESSES: "2",
      SHUTDOWN_GRACE: "1h",
      SIMULATE_MIN: "1h",
      SIMULATE_MAX: "1h",
    });
    const url = await server.url();
    await listening(server, 2);
    for (let n = 0; n < 20; n++) await create(url);
    await eventually(
      () => exchange(url, { target: "/api/task?status=running&limit=20" }).then((answer) => answer.json()),
      (running) => Array.isArray(running) && running.length === 20,
    );
    const signalledAt = performance.now();
    server.kill("SIGTERM");
    await eventually(
      () => performance.now() - signalledAt,
      (passed) => passed > 1_100,
    );
    server.kill("SIGTERM");
    expect((await server.ended).code).toBe(1);
  });

  test("stop when their supervisor is killed", async () => {
    const server = serve({ PROCESSES: "2" });
    await listening(server, 2);
    server.kill("SIGKILL");
    await server.ended; // resolves when the last process with its output has ended
    expect(named(server, "parent_gone")).toHaveLength(2);
    expect(named(server, "stopped")).toHaveLength(2);
  });

  test("are refused with a port that is in use, also by processes that share it", async () => {
    const holder = serve({ PROCESSES: "2" });
    const { port } = new URL(await holder.url());
    for (const PROCESSES of ["1", "2"]) {
      const late = serve({ PROCESSES, HTTP_PORT: port });
      expect(await late.ended).toMatchObject({
        code: 1,
        stdout: "",
        stderr: `tasktrack: port ${port} on 127.0.0.1 is in use; choose another one with HTTP_PORT or --port\n`,
      });
    }
    holder.kill("SIGTERM");
    await holder.ended;
  });

  test("do not start if one of them cannot start, and print one line", async () => {
    const server = serve({ PROCESSES: "3", STORE_URL: "postgres://127.0.0.1:1/nobody" });
    const { code, stderr } = await server.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^tasktrack: [^\n]+\n$/);
    expect(named(server, "listening")).toEqual([]);
  });

  test.each(["memory:", "sqlite:tasks.db"])(
    "are refused with a store that processes cannot share: %s",
    async (url) => {
      const { code, stderr } = await serve({ PROCESSES: "2", STORE_URL: url }).ended;
      expect([code, stderr]).toEqual([
        2,
        "tasktrack: PROCESSES: more than one need a store that they share; STORE_URL must be postgres://… or redis://…\n",
      ]);
    },
  );
});

describe("ROLE=worker", () => {
  test("serves only its probes and runs tasks that other processes accept", async () => {
    const api = serve({ ROLE: "api" });
    const worker = serve({ ROLE: "worker" });
    const [apiUrl, workerUrl] = [await api.url(), await worker.url()];
    expect((await exchange(workerUrl, { target: "/livez" })).status).toBe(200);
    expect(await (await exchange(workerUrl, { target: "/readyz" })).json()).toEqual({
      status: "ready",
      store: expect.stringMatching(/PostgreSQL/),
    });
    for (const target of ["/api/task", "/api/task/1", "/api/events", "/openapi.json", "/"]) {
      await expectProblem(await exchange(workerUrl, { target }), { status: 404, code: "unknown_route" });
    }
    const id = await create(apiUrl);
    const answer = await exchange(apiUrl, { target: `/api/task/${id}?wait=20s` });
    expect(((await answer.json()) as { status: string }).status).toBe("done");
    for (const server of [api, worker]) {
      server.kill("SIGTERM");
      expect((await server.ended).code).toBe(0);
    }
  });
});
