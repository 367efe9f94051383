/**
 * A server with a module of handlers, from its source and as a single-file executable: handlers that work, and handlers that fail
 * in all ways.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Task, type TaskSpec } from "../src/client/client.ts";
import { isGroupGone } from "../src/handlers/groups.ts";
import { eventually } from "./support/eventually.ts";
import { executable, killLeftovers, type ServerProcess, tasktrack } from "./support/server-process.ts";

const MODULE = join(import.meta.dir, "support/modules/handlers.ts");
const home = mkdtempSync(join(tmpdir(), "tasktrack-handlers-"));
const PROGRAM = join(home, "tasktrack");
const SLOW_MS = 60_000;

beforeAll(() => {
  const built = spawnSync(process.execPath, [join(import.meta.dir, "../scripts/build.ts"), PROGRAM]);
  expect(built.status).toBe(0);
}, SLOW_MS);
afterEach(killLeftovers);
afterAll(() => rmSync(home, { recursive: true, force: true }));

const PROGRAMS = [
  ["from its source", tasktrack],
  ["as an executable of one file", (args, options) => executable(PROGRAM, args, options)],
] as const satisfies readonly (readonly [string, typeof tasktrack])[];

const ENV = {
  ...{ HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", DISPATCH_INTERVAL: "0s", SHUTDOWN_GRACE: "0s" },
  ...{ HANDLERS: MODULE, HANDLER_PROCESSES: "2" },
};

async function open(
  start: typeof tasktrack,
  env: Readonly<Record<string, string>> = {},
  flags: readonly string[] = [],
) {
  const server = start(["serve", ...flags], { env: { ...ENV, ...env }, cwd: home });
  const url = await server.url();
  const client = createClient(url);
  return {
    server,
    url,
    client,
    add: (spec: Partial<TaskSpec> & { readonly type: string }): Promise<number> =>
      client.create({ name: spec.type, ...spec }).then(({ id }) => id),
    ended: (id: number): Promise<Task> =>
      eventually(
        () => client.get(id),
        ({ status }) => !["pending", "running"].includes(status),
        SLOW_MS,
      ),
    running: (id: number): Promise<Task> =>
      eventually(
        () => client.get(id),
        ({ status }) => status === "running",
      ),
  };
}

const outcomesOf = ({ attempts }: Task): string[] => attempts.map(({ outcome }) => outcome);

/** Processes of the machine whose command line begins with this. */
const processesOf = (command: string): number[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => commandOf(pid).startsWith(command))
    .map(Number);

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
  } catch {
    return ""; // the process has ended meanwhile
  }
}

/** A module with a unique path, so that its processes can be identified by their command line. */
function writeModule(name: string, text: string): string {
  const path = join(home, name);
  writeFileSync(path, text);
  return path;
}

const DEATHS: readonly (readonly [string, string])[] = [
  ["exits", "exit code 3"],
  ["rejects", "not caught"],
  ["crashes", "SIGSEGV"],
];

describe.each(PROGRAMS)("a server with handlers, %s,", (_, start) => {
  test(
    "works on the module's types, with progress, log and result",
    async () => {
      const { url, client, add, ended } = await open(start);
      const good = await ended(await add({ type: "good", payload: { a: [1] } }));
      expect(good).toMatchObject({ status: "done", result: { got: { a: [1] }, attempt: 1 } });
      expect(good.progress).toEqual({ percent: 100, message: "half way" });
      const log = await client.log(good.id);
      expect(log.map(({ level, message }) => [level, message])).toEqual([
        ["info", "hello"],
        ["warn", "careful"],
      ]);
      const payload = '{"id":3889108265204450030,"x":1e999, "2":1,"1":-0.0}';
      for (const [type, result] of [
        ["echo", payload],
        ["text", JSON.stringify(payload)],
      ]) {
        const response = await fetch(`${url}/api/task`, {
          method: "POST",
          body: `{"name":"x","type":"${type}","payload":${payload}}`,
        });
        const { task_id } = (await response.json()) as { task_id: number }; // in the form that the API documents
        await ended(task_id);
        const answer = await (await fetch(`${url}/api/task/${task_id}`)).text();
        expect(answer).toContain(`,"result":${result},"error":null`);
      }
      expect((await ended(await add({ type: "refuses" }))).error).toEqual({
        code: "closed",
        message: "not today",
      });
      expect((await ended(await add({ type: "throws" }))).error).toEqual({
        code: "handler_error",
        message: "oops",
      });
      const snoozed = await add({ type: "snoozes" });
      await eventually(
        () => client.get(snoozed),
        (task) => outcomesOf(task).includes("released"),
      );
      expect(await client.get(snoozed)).toMatchObject({ status: "pending", attempt: 0 });
    },
    SLOW_MS,
  );

  test.each(start === tasktrack ? DEATHS : DEATHS.slice(0, 1))(
    "survives a handler that %s: its task fails after three losses, and the other tasks are done",
    async (type, why) => {
      const { add, ended } = await open(start, { HANDLER_PROCESSES: "1" });
      const neighbour = await add({ type: "short" });
      const task = await ended(await add({ type }));
      expect(task).toMatchObject({ status: "failed", attempt: 3, error: { code: "worker_lost" } });
      expect(task.error?.message).toContain(why);
      expect(task.error?.message).toContain("loss 3 of 3");
      expect(outcomesOf(task)).toEqual(["lost", "lost", "lost"]);
      expect((await ended(neighbour)).status).toBe("done");
      expect((await ended(await add({ type: "good" }))).status).toBe("done");
    },
    SLOW_MS,
  );

  test(
    "ends with the error of the module when the module cannot be loaded",
    async () => {
      const HANDLERS = writeModule(
        "broken.ts",
        "export default { a: async () => 1 };\nthrow new RangeError('out of tune');\n",
      );
      const server = start(["serve"], { env: { ...ENV, HANDLERS }, cwd: home });
      const { code, stderr } = await server.ended;
      expect(code).toBe(1);
      expect(stderr).toContain("RangeError: out of tune");
      expect(stderr).toContain("broken.ts:2");
    },
    SLOW_MS,
  );

  test(
    "that is killed leaves no process of a command behind before the task runs again",
    async () => {
      const seen = join(home, "pids");
      const mark = `600.${process.pid}`;
      const HANDLERS = writeModule(
        "tree.ts",
        `import { command } from "tasktrack/handlers";
       export default { tree: command(["sh", "-c", "echo $(pgrep -f '^sleep ${mark}' | wc -l) >> ${seen}; sleep ${mark} & sleep ${mark}"]) };`,
      );
      rmSync(seen, { force: true });
      const env = { HANDLERS, LEASE: "2s", STORE_URL: `sqlite:${mkdtempSync(join(home, "tree-"))}/tasks.db` };
      const before = await open(start, env);
      const id = await before.add({ type: "tree" });
      await eventually(
        () => processesOf(`sleep ${mark}`),
        ({ length }) => length === 2,
      );
      before.server.kill("SIGKILL");
      await before.server.ended;
      const after = await open(start, env);
      await eventually(
        () => (existsSync(seen) ? readFileSync(seen, "utf8") : ""),
        (text) => text === "0\n0\n",
        SLOW_MS,
      );
      expect(outcomesOf(await after.running(id))).toEqual(["lost"]);
      await eventually(
        () => processesOf(`sleep ${mark}`),
        ({ length }) => length === 2, // the process of the second run
      );
      after.server.kill("SIGKILL");
      await after.server.ended;
      await eventually(
        () => processesOf(`sleep ${mark}`),
        ({ length }) => length === 0,
      );
    },
    SLOW_MS,
  );
});

describe("a server with handlers", () => {
  test(
    "ends an endless loop at its timeout, and the other tasks lose no attempt",
    async () => {
      const { client, add, ended } = await open(tasktrack, { HANDLER_PROCESSES: "1" });
      const loop = await add({ type: "loops" });
      const neighbours = await Promise.all([add({ type: "short" }), add({ type: "short" })]);
      expect((await client.get(loop)).status).toBeOneOf(["pending", "running"]); // the server answers meanwhile
      expect(await ended(loop)).toMatchObject({ status: "failed", error: { code: "timeout" } });
      expect(outcomesOf(await client.get(loop))).toEqual(["failed"]);
      for (const id of neighbours) {
        const task = await ended(id);
        expect(task).toMatchObject({ status: "done", attempt: 1 });
        expect(outcomesOf(task).filter((outcome) => outcome !== "released")).toEqual(["done"]);
      }
    },
    SLOW_MS,
  );

  test(
    "applies the defaults of each type, which a task may override",
    async () => {
      const { client, add } = await open(tasktrack);
      const [usual, own] = await Promise.all([
        add({ type: "patient" }),
        add({ type: "patient", timeout: "1m", max_attempts: 2 }),
      ]);
      expect(await client.get(usual)).toMatchObject({ timeout: "10m0s", max_attempts: 7 });
      expect(await client.get(own)).toMatchObject({ timeout: "1m0s", max_attempts: 2 });
      const later = await client.get(await add({ type: "later" }));
      expect(Date.parse(later.run_at) - Date.parse(later.created_at)).toBe(3_600_000);
    },
    SLOW_MS,
  );

  test(
    "with ROLE=api applies the defaults, too",
    async () => {
      const { client, add, server } = await open(tasktrack, { ROLE: "api" });
      expect(await client.get(await add({ type: "patient" }))).toMatchObject({
        status: "pending",
        max_attempts: 7,
      });
      await eventually(
        () => childrenOf(server),
        ({ length }) => length === 0,
      );
    },
    SLOW_MS,
  );

  test(
    "continues when a handler allocates two gigabytes",
    async () => {
      const { add, ended } = await open(tasktrack);
      expect(await ended(await add({ type: "hogs" }))).toMatchObject({ status: "done", result: 2 ** 31 });
    },
    SLOW_MS,
  );

  test(
    "passes on a cancel request within seconds, and all processes of a command end",
    async () => {
      const { client, add, ended, running } = await open(tasktrack);
      const [patient, tree] = await Promise.all([add({ type: "patient" }), add({ type: "tree" })]);
      await Promise.all([running(patient), running(tree)]);
      const line = await eventually(
        () => client.log(tree),
        ({ length }) => length > 0,
      );
      const leader = Number(/^tree (\d+)$/.exec(line[0]?.message ?? "")?.[1]);
      await Promise.all([client.cancel(patient), client.cancel(tree)]);
      expect((await ended(patient)).status).toBe("cancelled");
      expect((await ended(tree)).status).toBe("cancelled");
      expect(isGroupGone(leader)).toBe(true);
    },
    SLOW_MS,
  );

  test(
    "that stops kills a handler that ignores its abort, and gives its task back",
    async () => {
      const STORE_URL = `sqlite:${join(home, "unstoppable.db")}`;
      const first = await open(tasktrack, { STORE_URL });
      const id = await first.add({ type: "unstoppable" });
      await first.running(id);
      first.server.kill("SIGTERM");
      expect(await first.server.ended).toMatchObject({ code: 0 });
      const second = await open(tasktrack, { STORE_URL, HANDLERS: "" });
      expect(await second.client.get(id)).toMatchObject({ status: "pending", attempt: 0 });
      expect(outcomesOf(await second.client.get(id))).toEqual(["released"]);
    },
    SLOW_MS,
  );

  test(
    "keeps no open files and no zombies of a process that has ended",
    async () => {
      const { server, add, ended } = await open(tasktrack, { HANDLER_PROCESSES: "1" });
      const files = (): number => readdirSync(`/proc/${server.pid}/fd`).length;
      await ended(await add({ type: "exits" }));
      const before = files();
      // Each task is lost three times, so six more processes end. If a file of each stayed open, there would be more than four.
      for (let round = 0; round < 2; round++) await ended(await add({ type: "exits" }));
      await eventually(files, (now) => now <= before + 4);
      await eventually(
        () => childrenOf(server),
        ({ length }) => length === 1,
      );
    },
    SLOW_MS,
  );

  test(
    "loads the module again when a file of it changes, and keeps the old module while the new one has an error",
    async () => {
      const HANDLERS = writeModule("watched.ts", "export default { a: async () => 1 };\n");
      const { add, ended, server } = await open(tasktrack, { HANDLERS }, ["--watch"]);
      expect((await ended(await add({ type: "a" }))).result).toBe(1);
      writeModule("watched.ts", "export default { a: async () =>\n");
      await eventually(
        () => server.events().map(({ event }) => event),
        (events) => events.includes("handlers_not_reloaded"),
      );
      expect((await ended(await add({ type: "a" }))).result).toBe(1);
      writeModule("watched.ts", "export default { a: async () => 2, b: async () => 3 };\n");
      await eventually(
        () =>
          add({ type: "a" })
            .then(ended)
            .then(({ result }) => result),
        (result) => result === 2,
      );
      expect((await ended(await add({ type: "b" }))).result).toBe(3);
    },
    SLOW_MS,
  );
});

describe("a worker with the module", () => {
  test(
    "runs tasks of a server over HTTP, and releases tasks that it cannot finish",
    async () => {
      const { url, client, add, ended, running } = await open(tasktrack, { HANDLERS: "" });
      const worker = tasktrack(["worker", MODULE, "--name", "far-away", "--grace", "0s"], {
        env: { TASKTRACK_URL: url },
      });
      const good = await ended(await add({ type: "good", payload: 1 }));
      expect(good).toMatchObject({ status: "done", result: { got: 1 } });
      expect(good.attempts[0]?.worker).toBe("far-away");
      const unstoppable = await add({ type: "unstoppable" });
      await running(unstoppable);
      worker.kill("SIGTERM");
      expect(await worker.ended).toMatchObject({ code: 0 });
      expect(outcomesOf(await client.get(unstoppable))).toEqual(["released"]);
    },
    SLOW_MS,
  );

  test(
    "claims types that were added to its module meanwhile",
    async () => {
      const { url, add, ended } = await open(tasktrack, { HANDLERS: "" });
      const module = writeModule("growing.ts", "export default { a: async () => 1 };\n");
      const flags = ["--watch", "--lease", "3s", "--grace", "0s"];
      const worker = tasktrack(["worker", module, ...flags], { env: { TASKTRACK_URL: url } });
      expect((await ended(await add({ type: "a" }))).result).toBe(1);
      writeModule("growing.ts", "export default { a: async () => 1, b: async () => 2 };\n");
      expect((await ended(await add({ type: "b" }))).result).toBe(2);
      worker.kill("SIGTERM");
      expect(await worker.ended).toMatchObject({ code: 0 });
    },
    SLOW_MS,
  );

  test(
    "ends at once when its module cannot be loaded",
    async () => {
      const worker = tasktrack(["worker", writeModule("empty.ts", "export default {};\n")]);
      const { code, stderr } = await worker.ended;
      expect(code).toBe(1);
      expect(stderr).toContain("expected a default export of handlers by type");
    },
    SLOW_MS,
  );
});

/** Processes that run handlers for this server. */
const childrenOf = ({ pid }: ServerProcess): string[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
    .split(" ")
    .filter((child) => child !== "");
