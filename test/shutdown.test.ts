/** Starts and ends of the real process: signals, exit codes, settings, and the answers to clients meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as otherTurn } from "node:timers/promises";
import packageJson from "../package.json" with { type: "json" };
import { settings } from "../src/config.ts";
import { startApp } from "./support/app.ts";
import { eventually } from "./support/eventually.ts";
import { expectProblem } from "./support/problem.ts";
import { ConnectionCut, encode, exchange, openConnection } from "./support/raw.ts";
import { killLeftovers, npmStart, type ServerProcess, tasktrack } from "./support/server-process.ts";

const HERE = { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0" };
const FOR_EVER = { SIMULATE_MIN: "1h", SIMULATE_MAX: "1h", SHUTDOWN_GRACE: "1h", DISPATCH_INTERVAL: "0s" };

afterAll(killLeftovers);

const createTask = async (url: string, fields: object = {}): Promise<number> => {
  const body = JSON.stringify({ name: "x", ...fields });
  const response = await fetch(`${url}/api/task`, { method: "POST", body });
  return ((await response.json()) as { task_id: number }).task_id; // api.test.ts shows it
};

type Seen = {
  readonly status: string;
  readonly created_at: string;
  readonly attempts: readonly { readonly outcome: string }[];
};
const getTask = async (url: string, id: number): Promise<Seen> =>
  (await (await fetch(`${url}/api/task/${id}`)).json()) as Seen; // api.test.ts shows it
const becomes = (url: string, id: number, status: string): Promise<Seen> =>
  eventually(
    () => getTask(url, id),
    (task) => task.status === status,
  );
const isDraining = (url: string): Promise<Response> =>
  eventually(
    () => fetch(`${url}/readyz`),
    (response) => response.status === 503,
  );
const passes = (ms: number): Promise<number> => {
  const from = performance.now();
  return eventually(
    () => performance.now() - from,
    (passed) => passed > ms,
  );
};

test("a start on a SQLite file releases the running tasks of the killed server at once, whatever the lease", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tasktrack-killed-"));
  // After a start, leases of other workers are not ended for half of their length, which is longer than this test waits.
  const env = { ...HERE, ...FOR_EVER, STORE_URL: `sqlite:${join(folder, "tasks.db")}`, LEASE: "1h" };
  const killed = tasktrack(["serve"], { env });
  const url = await killed.url();
  const id = await createTask(url, { max_attempts: 3 });
  await becomes(url, id, "running");
  killed.kill("SIGKILL");
  await killed.ended;
  const next = tasktrack(["serve"], { env });
  const nextUrl = await next.url();
  const { attempts } = await eventually(
    () => getTask(nextUrl, id),
    (task) => task.attempts.length > 0,
  );
  expect(attempts.map(({ outcome }) => outcome)).toEqual(["lost"]);
  next.kill("SIGKILL");
  await next.ended;
  await rm(folder, { recursive: true });
});

// ---- connections during a shutdown

const REQUEST_EVERY_MS = 20;

type Outcome = "answered" | "reset by the close" | "refused" | string;

/**
 * Sends requests on new connections until no server listens any more; without a pause when the end is near. Earlier there was no
 * pause at all: with five servers, the machine was busy for ten seconds.
 */
async function requestUntilClosed(
  url: string,
  outcomes: Outcome[],
  isNearItsEnd: () => boolean,
): Promise<void> {
  for (;;) {
    const outcome = await requestOnce(url);
    outcomes.push(outcome);
    if (outcome === "refused") return;
    await (isNearItsEnd() ? otherTurn() : Bun.sleep(REQUEST_EVERY_MS));
  }
}

async function requestOnce(url: string): Promise<Outcome> {
  try {
    const response = await exchange(url, { target: "/api/task/1" });
    return response.status === 200 || response.status === 404 ? "answered" : `status ${response.status}`;
  } catch (error) {
    if (error instanceof ConnectionCut) return error.received === "" ? "reset by the close" : String(error);
    const code = error instanceof Error && "code" in error ? error.code : null;
    return code === "ECONNREFUSED" ? "refused" : code === "ECONNRESET" ? "reset by the close" : String(error);
  }
}

/**
 * All requests are answered, and later ones are refused. In between, the kernel may reset one connection: it had accepted the
 * connection, but the server had not received its request when the listener closed.
 */
function expectAnsweredToTheLast(outcomes: readonly Outcome[]): void {
  const caught = outcomes.indexOf("reset by the close");
  const answered = outcomes.slice(0, caught === -1 ? -1 : caught);
  expect(answered.filter((outcome) => outcome !== "answered")).toEqual([]);
  expect(outcomes.slice(answered.length)).toEqual(
    caught === -1 ? ["refused"] : ["reset by the close", "refused"],
  );
}

// ---- one signal

type Ending = {
  readonly to: string;
  readonly signal: NodeJS.Signals;
  readonly start: (env: Record<string, string>) => ServerProcess;
  readonly send: (server: ServerProcess, signal: NodeJS.Signals) => void;
};
const toOne: Ending["send"] = (server, signal) => server.kill(signal);
const toAll: Ending["send"] = (server, signal) => server.killGroup(signal);

const endings: readonly Ending[] = [
  { to: "the server", signal: "SIGTERM", start: (env) => tasktrack(["serve"], { env }), send: toOne },
  { to: "the server", signal: "SIGHUP", start: (env) => tasktrack(["serve"], { env }), send: toOne },
  { to: "npm start alone", signal: "SIGTERM", start: npmStart, send: toOne },
  { to: "npm start and its whole group", signal: "SIGTERM", start: npmStart, send: toAll },
  { to: "npm start and its whole group", signal: "SIGINT", start: npmStart, send: toAll },
];

describe("work that can end in the grace period ends, other work is released, and every request is answered:", () => {
  /** Work that ends when the file of its payload exists. */
  const MODULE = `export default {
    gated: async ({ payload }, { signal }) => {
      while (!(await Bun.file(payload).exists())) {
        signal.throwIfAborted();
        await Bun.sleep(5);
      }
    },
  };`;
  let home: string;
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), "tasktrack-shutdown-"));
    await writeFile(join(home, "gated.js"), MODULE);
  });
  afterAll(() => rm(home, { recursive: true }));

  /** Long, because on a busy machine the checks within the grace take seconds. */
  const GRACE_MS = 10_000;
  const envOf = (handlers: string) => ({
    ...{ ...HERE, LOG_LEVEL: "debug", DISPATCH_INTERVAL: "0s", SHUTDOWN_GRACE: `${GRACE_MS}ms` },
    ...{ HANDLERS: handlers, HANDLER_PROCESSES: "1", WORKER_CONCURRENCY: "2" },
  });

  test.concurrent.each(endings.map((ending) => [ending.signal, ending.to, ending] as const))(
    "%s to %s",
    async (_signal, _to, { signal, start, send }) => {
      const server = start(envOf(join(home, "gated.js")));
      const url = await server.url();
      const mayEnd = join(home, crypto.randomUUID());
      const ends = await createTask(url, { type: "gated", payload: mayEnd });
      const stays = await createTask(url, { type: "gated", payload: join(home, "never") });
      for (const id of [ends, stays]) await becomes(url, id, "running");
      const waits = await createTask(url, { type: "gated" });
      const half = openConnection(url);
      const request = encode({ method: "POST", target: "/api/task", body: '{"name":"half"}' });
      half.write(request.subarray(0, -5));
      const outcomes: Outcome[] = [];
      const requesting = requestUntilClosed(url, outcomes, () =>
        server.events().some(({ event }) => event === "task_stopping"),
      );
      await eventually(
        () => outcomes.length,
        (count) => count > 10,
      );

      send(server, signal);

      const unready = await isDraining(url);
      expect(unready.headers.get("connection")).toBe("close");
      expect(unready.headers.get("retry-after")).toMatch(/^\d+$/);
      await expectProblem(unready, { status: 503, code: "not_ready" });
      half.write(request.subarray(-5));
      const finished = await half.read();
      expect([finished.status, finished.headers.get("connection")]).toEqual([201, "close"]);
      await writeFile(mayEnd, "");
      await becomes(url, ends, "done");
      expect((await getTask(url, stays)).status).toBe("running");
      expect((await getTask(url, waits)).status).toBe("pending");

      const { code } = await server.ended;
      expect(code).toBe(0);
      const of = (id: number): string[] =>
        server
          .events()
          .filter((event) => event.task_id === id)
          .map(({ event, reason }) => (reason === undefined ? event : `${event}: ${reason}`))
          .sort(); // the order of the request and the worker in the log is not defined
      expect(of(ends)).toEqual(["task_created", "task_done", "task_started"]);
      expect(of(stays)).toEqual(["task_created", "task_released", "task_started", "task_stopping: shutdown"]);
      expect(of(waits)).toEqual(["task_created"]);
      await requesting;
      expectAnsweredToTheLast(outcomes);
    },
  );
});

test("a server without running work ends at once, whatever the grace", async () => {
  const server = tasktrack(["serve"], { env: { ...HERE, ...FOR_EVER } });
  await server.url();
  server.kill("SIGINT");
  expect(await server.ended).toMatchObject({ code: 0, stderr: "" });
});

test("a list that is being sent is finished before the server closes", async () => {
  const COUNT = 3_000; // more than the buffers of a connection hold; a machine that is very busy must send it within the time of a stop
  const server = await startApp({ ROLE: "api" });
  for (let at = 0; at < COUNT; at += 1_000) {
    await server.app.engine.create(Array(1_000).fill({ name: "x", description: "x".repeat(2_000) }));
  }
  const response = await fetch(`${server.url}/api/task`);
  const stopped = server.stop();
  expect(await response.json()).toHaveLength(COUNT);
  expect(await stopped).toBe(0);
  expect(await requestOnce(server.url)).toBe("refused");
});

// ---- two signals

describe("a second signal", () => {
  test("within a second counts as a copy of the first", async () => {
    const env = { ...HERE, ...FOR_EVER, SIMULATE_MIN: "1s", SIMULATE_MAX: "1s", SIMULATE_FAILURE_RATE: "0" };
    const server = tasktrack(["serve"], { env: { ...env, LOG_LEVEL: "debug" } });
    const url = await server.url();
    await becomes(url, await createTask(url), "running");
    server.kill("SIGTERM");
    server.kill("SIGINT"); // without waiting for an answer: on a busy machine that may take more than a second
    expect((await server.ended).code).toBe(0);
    expect(server.events().map(({ event }) => event)).toContain("task_done");
  });

  test.each(["SIGTERM", "SIGINT"] as const)("later than that ends the server at once: %s", async (signal) => {
    const server = tasktrack(["serve"], { env: { ...HERE, ...FOR_EVER } });
    const url = await server.url();
    await becomes(url, await createTask(url), "running");
    server.kill("SIGTERM");
    await isDraining(url);
    await passes(1_100);
    expect((await fetch(`${url}/livez`)).status).toBe(200);
    server.kill(signal);
    expect((await server.ended).code).toBe(1);
  });
});

// ---- starts that are refused

/** Expects that the process ends with one line on stderr and no log. */
async function expectRefusal(server: ServerProcess, code: number): Promise<string> {
  const ended = await server.ended;
  expect(ended).toMatchObject({ code, stdout: "" });
  expect(ended.stderr).toMatch(/^tasktrack: [^\n]+\n$/);
  return ended.stderr.trim();
}

describe("a start is refused with one line:", () => {
  test("the port is in use", async () => {
    const holder = await startApp();
    const { port } = new URL(holder.url);
    const line = await expectRefusal(tasktrack(["serve"], { env: { ...HERE, HTTP_PORT: port } }), 1);
    expect(line).toBe(
      `tasktrack: port ${port} on 127.0.0.1 is in use; choose another one with HTTP_PORT or --port`,
    );
    await holder.stop();
  });

  test("the host is not an address of this machine", async () => {
    const line = await expectRefusal(tasktrack(["serve"], { env: { ...HERE, HTTP_HOST: "192.0.2.1" } }), 1);
    expect(line).toInclude("192.0.2.1");
  });

  const bad: readonly (readonly [string, string, string])[] = [
    ["HTTP_PORT", "eighty", "a port from 0 to 65535"],
    ["HTTP_PORT", "65536", "a port from 0 to 65535"],
    ["LOG_LEVEL", "loud", "debug, info, warn, warning or error"],
    ["WORKER_CONCURRENCY", "0", "a whole number from 1 to 1000000"],
    ["LEASE", "10ms", 'a duration such as "250ms", "30s" or "1h30m", at least 1s'],
    ["STORE_URL", "mysql://localhost/tasks", "memory:, sqlite:PATH, postgres://… or redis://…"],
    ["QUEUE_URL", "nats://localhost", "amqp://…, amqps://…, kafka://host:port,… or kafkas://host:port,…"],
    ["QUEUE_URL", "kafka://localhost:9092?sasl=plain", "a user and a password, because sasl is given"],
    ["ROLE", "workers", "all, api or worker"],
  ];
  test.each(bad)("%s=%s", async (name, value, expected) => {
    const line = await expectRefusal(tasktrack(["serve"], { env: { ...HERE, [name]: value } }), 2);
    expect(line).toBe(`tasktrack: ${name}: expected ${expected}, got ${JSON.stringify(value)}`);
  });

  test("a file that the broker's URL names is missing", async () => {
    const QUEUE_URL = "kafkas://user:secret@localhost:9092?cacertfile=/nowhere/ca.pem";
    const line = await expectRefusal(tasktrack(["serve"], { env: { ...HERE, QUEUE_URL } }), 1);
    expect(line).toStartWith(
      "tasktrack: QUEUE_URL: expected cacertfile to name a PEM file with a certificate",
    );
    expect(line).toInclude("/nowhere/ca.pem");
    expect(line).not.toInclude("secret");
  });

  test("the simulation would have to be longer than its longest", async () => {
    const line = await expectRefusal(tasktrack(["serve"], { env: { ...HERE, SIMULATE_MIN: "6m" } }), 2);
    expect(line).toInclude("SIMULATE_MIN");
    expect(line).toInclude("SIMULATE_MAX");
  });

  test.each([
    [["serve", "--port", "70000"], "HTTP_PORT: expected a port from 0 to 65535"],
    [["serve", "--nope"], "--nope"],
    [["serve", "--port"], "--port"],
    [["serve", "now"], "now"],
    [["server"], 'there is no command "server"'],
  ])("tasktrack %p", async (args, message) => {
    expect(await expectRefusal(tasktrack(args, { env: HERE }), 2)).toInclude(message);
  });
});

// ---- sources of settings

describe("settings", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tasktrack-"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  type Source = { readonly file?: string; readonly env?: Record<string, string>; readonly flags?: string[] };
  const rows: readonly (readonly [string, Source, string])[] = [
    ["come from .env in the working directory", { file: "ROLE=api" }, "api"],
    ["in .env may have quotes and comments", { file: '# a remark\nROLE="api" # another\n' }, "api"],
    ["come from the environment before .env", { file: "ROLE=api", env: { ROLE: "all" } }, "all"],
    ["come from flags before the environment", { env: { ROLE: "all" }, flags: ["--role", "api"] }, "api"],
    ["may be written in any case", { env: { ROLE: "API" } }, "api"],
    ["that are empty are the default", { file: "ROLE=", env: { ROLE: "" } }, "all"],
  ];
  test.each(rows)("%s", async (_, { file = "", env = {}, flags = [] }, role) => {
    await writeFile(join(folder, ".env"), file);
    const server = tasktrack(["serve", ...flags], { cwd: folder, env: { ...HERE, ...env } });
    await server.url();
    expect(server.events()[0]).toMatchObject({ event: "listening", role });
    server.kill("SIGTERM");
    expect((await server.ended).code).toBe(0);
  });

  test("come from no other file, whatever the value of NODE_ENV", async () => {
    const cwd = join(folder, "others");
    await mkdir(cwd);
    for (const name of [".env.local", ".env.production", ".env.development", ".env.test", ".env.example"]) {
      await writeFile(join(cwd, name), "ROLE=api\nHTTP_PORT=nonsense\n");
    }
    const server = tasktrack(["serve"], { cwd, env: { ...HERE, NODE_ENV: "production" } });
    await server.url();
    expect(server.events()[0]).toMatchObject({ event: "listening", role: "all" });
    server.kill("SIGTERM");
    await server.ended;
  });

  test("that are invalid in .env prevent the start", async () => {
    await writeFile(join(folder, ".env"), "WORKER_CONCURRENCY=many");
    const line = await expectRefusal(tasktrack(["serve"], { cwd: folder, env: HERE }), 2);
    expect(line).toInclude("WORKER_CONCURRENCY");
  });

  test("from a .env that cannot be read prevent the start", async () => {
    const cwd = join(folder, "unreadable");
    await mkdir(join(cwd, ".env"), { recursive: true });
    expect(await expectRefusal(tasktrack(["serve"], { cwd, env: HERE }), 2)).toInclude(".env");
  });
});

describe("a start on an address that is not loopback", () => {
  test.each([
    ["127.0.0.1", []],
    ["localhost", []],
    ["0.0.0.0", ["open_to_the_network"]],
  ])("logs one warning: %s", async (host, warnings) => {
    const server = tasktrack(["serve"], { env: { HTTP_HOST: host, HTTP_PORT: "0" } });
    await server.url();
    server.kill("SIGTERM");
    await server.ended;
    const warned = server.events().filter(({ level }) => level === "warn");
    expect(warned.map(({ event }) => event)).toEqual(warnings);
  });
});

// ---- help and version

describe("the command line", () => {
  const outputOf = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await tasktrack(args).ended;
    expect([code, stderr]).toEqual([0, ""]);
    return stdout;
  };

  test.each(["--version", "-v"])("prints its version: %s", async (flag) => {
    expect(await outputOf(flag)).toBe(`${packageJson.version}\n`);
  });

  test.each([[["--help"]], [["-h"]], [["help"]], [[]]])("prints its help: tasktrack %p", async (args) => {
    expect(await outputOf(...args)).toInclude("tasktrack <command>");
  });

  test("prints every setting with its flag and its default", async () => {
    const help = await outputOf("serve", "--help");
    for (const { name, flag, fallback } of settings) {
      expect(help).toInclude(`--${flag} VALUE`);
      expect(help).toInclude(`${name}, default ${fallback === "" ? "(none)" : fallback}`);
    }
  });
});
