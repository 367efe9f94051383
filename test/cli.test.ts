/**
 * The command line with a server of its own. Most cases run a command in the test's process, because the start of a process takes
 * longer than the command. Every command also runs once as a process, as users run it. Cases about signals, streams and the
 * environment run as processes too.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runCommand } from "../src/cli/commands.ts";
import { createClient } from "../src/client/client.ts";
import { settings } from "../src/config.ts";
import { systemClock } from "../src/lib/system-clock.ts";
import { eventually } from "./support/eventually.ts";
import { type Ended, killLeftovers, type ServerProcess, tasktrack } from "./support/server-process.ts";
import { freePort } from "./support/servers/runner.ts";
import { createTestTerminal } from "./support/terminal.ts";

const SERVER = {
  ...{ HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", SHUTDOWN_GRACE: "0s", DISPATCH_INTERVAL: "0s" },
  ...{ SIMULATE_MIN: "300ms", SIMULATE_MAX: "300ms", SIMULATE_FAILURE_RATE: "0" },
};

let [url, failing, home] = ["", "", ""];
beforeAll(async () => {
  url = await tasktrack(["serve"], { env: SERVER }).url();
  failing = await tasktrack(["serve"], { env: { ...SERVER, SIMULATE_FAILURE_RATE: "1" } }).url();
  home = await mkdtemp(join(tmpdir(), "tasktrack-cli-"));
});
afterAll(async () => {
  killLeftovers();
  await rm(home, { recursive: true });
});

const begin = (args: readonly string[], env: Readonly<Record<string, string>> = {}): ServerProcess =>
  tasktrack(args, { env: { TASKTRACK_URL: url, ...env }, cwd: home });

/** Runs a command to its end in this process, with a pipe as its output. */
async function cli(...args: readonly string[]): Promise<Omit<Ended, "signal">> {
  const { written, ...terminal } = createTestTerminal({ isTerminal: false, env: { TASKTRACK_URL: url } });
  const readHere = (path: string): Promise<string> => readFile(join(home, path), "utf8");
  const code = await runCommand(args, { ...terminal, clock: systemClock, readFile: readHere });
  return { code, stdout: written.out, stderr: written.err };
}

const client = () => createClient(url);

/** The output of a command that succeeds. It has no control characters. */
async function outputOf(...args: readonly string[]): Promise<string> {
  const ended = await cli(...args);
  expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: "" });
  expect(ended.stdout.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  return ended.stdout;
}

const idIn = async (stdout: Promise<string>): Promise<number> => Number(/\d+/.exec(await stdout)?.[0]);

/** A task that no worker claims, so that only the test changes it. */
const addIdle = (...flags: readonly string[]): Promise<number> =>
  idIn(outputOf("add", "idle", "--type", "idle", "--quiet", ...flags));

describe("add", () => {
  test("prints the id", async () => {
    expect(await outputOf("add", "someName")).toMatch(/^Task \d+ created\n$/);
    expect(await outputOf("add", "someName", "--quiet")).toMatch(/^\d+\n$/);
    expect(JSON.parse(await outputOf("add", "someName", "--json"))).toEqual({
      id: expect.any(Number),
      existing: false,
    });
  });

  test("sends all fields of a task", async () => {
    const id = await idIn(
      outputOf(
        ...["add", "full", "--type", "idle", "--description", "words", "--priority", "-5", "--tag", "a"],
        ...["--tag", "b", "--timeout", "5m", "--max-attempts", "7", "--backoff", "2s,1m", "--key", "one"],
        ...["--payload", '{"n":[1]}', "--run-at", "2100-01-01T00:00:00Z", "--quiet"],
      ),
    );
    expect(await client().get(id)).toMatchObject({
      ...{
        name: "full",
        type: "idle",
        description: "words",
        priority: -5,
        tags: ["a", "b"],
        timeout: "5m0s",
      },
      ...{ max_attempts: 7, key: "one", payload: { n: [1] }, run_at: "2100-01-01T00:00:00.000Z" },
    });
    expect(await outputOf("add", "again", "--type", "idle", "--key", "one")).toBe(
      `Task ${id} already exists\n`,
    );
    await client().remove(id);
  });

  test("accepts a delay, and creates one task for a repeated idempotency key", async () => {
    const flags = ["add", "later", "--type", "idle", "--delay", "1h", "--idempotency-key", "k", "--quiet"];
    const first = await outputOf(...flags);
    expect(await outputOf(...flags)).toBe(first);
    const { run_at, created_at } = await client().get(Number(first));
    expect(Date.parse(run_at) - Date.parse(created_at)).toBe(3_600_000);
  });

  test("sends the text of the payload unchanged, and get and list show it unchanged", async () => {
    const payload = '{"id":3889108265204450030,"x":1e999, "10":1.0,"10":"\\u0041"}';
    const id = await addIdle("--payload", payload);
    const answer = await (await fetch(`${url}/api/task/${id}`)).text();
    expect(answer).toContain(`,"payload":${payload},`);
    const asked = [
      ["get", String(id)],
      ["get", String(id), "--json"],
      ["list", "--type", "idle", "--all", "--json"],
    ];
    for (const args of asked)
      expect((await outputOf(...args)).replaceAll(/\s/g, "")).toContain(payload.replaceAll(" ", ""));
    await outputOf("edit", String(id), "--payload", "[0.10]");
    expect(await (await fetch(`${url}/api/task/${id}`)).text()).toContain(',"payload":[0.10],');
  });

  test("reads the payload from a file, or from its standard input", async () => {
    await writeFile(join(home, "payload.json"), '{"from":"file"}');
    const file = await begin(["add", "x", "--type", "idle", "--payload", "@payload.json", "--quiet"]).ended;
    expect((await client().get(Number(file.stdout))).payload).toEqual({ from: "file" });
    const { stdout } = await tasktrack(["add", "x", "--type", "idle", "--payload", "-", "--quiet"], {
      env: { TASKTRACK_URL: url },
      input: '{"from":"pipe"}',
    }).ended;
    expect((await client().get(Number(stdout))).payload).toEqual({ from: "pipe" });
  });

  test("--wait prints a line for each change until the end", async () => {
    const lines = (await outputOf("add", "waited", "--wait")).trimEnd().split("\n");
    expect(lines[0]).toMatch(/^Task \d+ created$/);
    expect(lines.at(-1)).toMatch(/^Task \d+ done in \S+s$/);
    expect(new Set(lines).size).toBe(lines.length);
  });

  test("--wait --quiet prints the id only, --wait --json the task at its end", async () => {
    expect(await outputOf("add", "waited", "--wait", "--quiet")).toMatch(/^\d+\n$/);
    expect(JSON.parse(await outputOf("add", "waited", "--wait", "--json"))).toMatchObject({
      ...{ status: "done", result: { simulated: "300ms" } },
    });
  });
});

test("each command that ends by itself runs as a process, and its exit code is the process's", async () => {
  const id = String(await addIdle());
  const steps: readonly (readonly [readonly string[], number, RegExp])[] = [
    [["edit", id, "--name", "edited"], 0, /^Task \d+ changed\n$/],
    [["get", id], 0, /^Task \d+ {2}edited\n/],
    [["explain", id], 0, /^Task \d+: It /],
    [["log", id], 0, /^$/],
    [["cancel", id], 0, /^Task \d+ cancelled\n$/],
    [["watch", id], 4, / Task \d+ cancelled\n$/],
    [["retry", id], 0, /^Task \d+ is pending again\n$/],
    [["remove", id], 0, /^Task \d+ deleted\n$/],
    [["get", id], 1, /^$/],
    [["stats"], 0, /^\d+ running, /],
    [["list", "--type", "none", "--json"], 0, /^\[\]\n$/],
    [["completion", "bash"], 0, /tasktrack/],
    [["help", "bench"], 0, /^Usage: tasktrack bench /],
    [["--help"], 0, /^TaskTrack /],
    [["lst"], 2, /^$/],
    [["get", "seven"], 2, /^$/],
  ];
  for (const [args, expected, output] of steps) {
    const { code, stdout, stderr } = await begin(args).ended;
    expect({ args, code, complains: stderr !== "" }).toEqual({
      ...{ args, code: expected, complains: expected === 1 || expected === 2 },
    });
    expect(stdout).toMatch(output);
    if (stderr !== "") expect(stderr).toMatch(/^tasktrack: [^\n]+\n$/);
  }
});

describe("the exit code of a command that waits", () => {
  test("is 3 if the task failed", async () => {
    const { code, stdout } = await cli("add", "fails", "--wait", "--url", failing);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^Task \d+ failed in \S+s: Simulated failure: [^\n]*\n$/m);
  });

  const endings: readonly (readonly [string, (id: number) => Promise<unknown>, RegExp])[] = [
    ["cancelled", (id) => client().cancel(id), /^Task \d+ cancelled$/],
    ["deleted", (id) => client().remove(id), /^Task \d+ was deleted$/],
  ];
  test.each(endings)("is 4 if the task was %s", async (_, end, last) => {
    const waiting = begin(["add", "idle", "--type", "idle", "--wait"]);
    const { stdout } = await eventually(waiting.written, (seen) => seen.stdout.includes("pending"));
    await end(Number(/\d+/.exec(stdout)?.[0]));
    const ended = await waiting.ended;
    expect(ended.code).toBe(4);
    expect(ended.stdout.trimEnd().split("\n").at(-1)).toMatch(last);
  });

  test("is the highest of several", async () => {
    const done = await idIn(outputOf("add", "a", "--quiet"));
    const [cancelled, open] = [await addIdle(), await addIdle()];
    await client().cancel(cancelled);
    const waiting = begin(["watch", String(done), String(cancelled), String(open)]);
    await eventually(waiting.written, ({ stdout }) => stdout.includes(`Task ${open} pending`));
    await client().cancel(open);
    expect((await waiting.ended).code).toBe(4);
    expect((await cli("watch", String(done))).code).toBe(0);
  });

  test("is 1 for a task that does not exist", async () => {
    const { code, stdout, stderr } = await cli("watch", "999999");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^tasktrack: Task not found \(not_found, request [\w-]+\)\n$/);
  });

  test("is 130 after a Ctrl-C, which does not cancel the task and prints how to watch it again", async () => {
    const waiting = begin(["add", "idle", "--type", "idle", "--wait"]);
    const { stdout } = await eventually(waiting.written, (seen) => seen.stdout.includes("pending"));
    waiting.kill("SIGINT");
    const id = Number(/\d+/.exec(stdout)?.[0]);
    expect(await waiting.ended).toMatchObject({
      code: 130,
      stderr: `tasktrack: task ${id} continues; watch again with: tasktrack watch ${id}\n`,
    });
    expect((await client().get(id)).status).toBe("pending");
  });
});

describe("list", () => {
  const names = async (...flags: readonly string[]): Promise<string[]> =>
    JSON.parse(await outputOf("list", "--json", ...flags)).map(({ name }: { name: string }) => name);

  beforeAll(async () => {
    const spec = (n: number) => ({ name: `listed ${n}`, type: `list.${n % 2}`, tags: [`t${n}`, "l"] });
    await client().createMany(Array.from({ length: 60 }, (_, n) => ({ ...spec(n), payload: { n } })));
    await client().cancel(Number((await client().page({ tag: "t5" })).tasks[0]?.id));
  });

  test("shows a table, the newest first, and that there are more tasks", async () => {
    const { code, stdout, stderr } = await cli("list", "--type", "list.*");
    const lines = stdout.trimEnd().split("\n");
    expect(code).toBe(0);
    expect(lines[0]).toMatch(/^ *ID {2}STATUS +TYPE +NAME +AGE/);
    expect(lines[1]).toMatch(/^ *\d+ {2}pending +list\.1 +listed 59 /);
    expect(lines).toHaveLength(51);
    expect(stderr).toBe("tasktrack: there are more than these 50: --all, or --limit N\n");
  });

  test("--all shows all tasks, --limit a number of them", async () => {
    expect(await names("--type", "list.*", "--all")).toHaveLength(60);
    const { stdout, stderr } = await cli("list", "--type", "list.*", "--limit", "2", "--json");
    expect(JSON.parse(stdout)).toHaveLength(2);
    expect(stderr).toInclude("more than these 2");
    expect(await names("--type", "list.*", "--limit", "60")).toHaveLength(60);
  });

  test("filters and sorts", async () => {
    expect(await names("--tag", "l", "--tag", "t7")).toEqual(["listed 7"]);
    expect(await names("--query", "payload.n:42", "--type", "list.*")).toEqual(["listed 42"]);
    expect(await names("--status", "cancelled", "--type", "list.*", "--sort", "-finished_at")).toEqual([
      "listed 5",
    ]);
    expect((await names("--type", "list.0", "--type", "list.1", "--sort", "id", "--all"))[0]).toBe(
      "listed 0",
    );
  });

  test("reports that no task matches; as JSON an empty array", async () => {
    expect(await cli("list", "--type", "none")).toMatchObject({
      ...{ code: 0, stdout: "", stderr: "tasktrack: no task matches\n" },
    });
    expect((await cli("list", "--type", "none", "--json")).stdout).toBe("[]\n");
  });

  test("shows hostile names completely and without control characters", async () => {
    const name = "\u001b[2J\u001b]0;owned\u0007 \u009b31m two\nlines \u202eevil 日本";
    await client().create({ name, type: "hostile" });
    const table = await outputOf("list", "--type", "hostile");
    expect(table).toInclude("\\x1b[2J\\x1b]0;owned\\x07 \\x9b31m two\\nlines \\u202eevil 日本");
    expect(table.trimEnd().split("\n")).toHaveLength(2);
    expect(await names("--type", "hostile")).toEqual([name]);
  });

  test("has no colour in a pipe, unless it is forced", async () => {
    const { stdout } = await begin(["list", "--limit", "1"], { FORCE_COLOR: "1" }).ended;
    expect(stdout).toInclude("\u001b[");
    for (const env of [{ NO_COLOR: "1", FORCE_COLOR: "1" }, {}]) {
      expect((await begin(["list", "--limit", "1"], env).ended).stdout).not.toInclude("\u001b");
    }
    const plain = await begin(["list", "--limit", "1", "--no-color"], { FORCE_COLOR: "1" }).ended;
    expect(plain.stdout).not.toInclude("\u001b");
  });

  test("ends without an error when its reader closes the pipe", async () => {
    const list = `"${process.execPath}" --no-env-file "${join(import.meta.dir, "../src/main.ts")}" list --all --json`;
    const shell = Bun.spawn(["bash", "-c", `set -o pipefail; ${list} | head -c 10`], {
      ...{ env: { ...process.env, TASKTRACK_URL: url }, stdout: "pipe", stderr: "pipe" },
    });
    expect([await shell.exited, await new Response(shell.stderr).text()]).toEqual([0, ""]);
  });
});

describe("get", () => {
  test("shows the fields, and as JSON the answer of the API", async () => {
    const id = await addIdle("--payload", '{"a":"\\u001b[31m"}', "--tag", "x", "--description", "two\nlines");
    await client().cancel(id);
    const text = await outputOf("get", String(id));
    expect(text.split("\n")[0]).toBe(`Task ${id}  idle`);
    expect(text).toMatch(/^ {2}status +cancelled$/m);
    expect(text).toMatch(/^ {2}description +two\n {15}lines$/m);
    expect(text).toInclude('"a": "\\u001b[31m"');
    expect(JSON.parse(await outputOf("get", String(id), "--json"))).toEqual(
      JSON.parse(await (await fetch(`${url}/api/task/${id}`)).text()),
    );
  });

  test("shows attempts, progress and result", async () => {
    const id = await idIn(outputOf("add", "worked", "--wait", "--quiet"));
    const text = await outputOf("get", String(id));
    expect(text).toMatch(/^ {2}attempts +1 {2}\S+ \S+Z {2}\+\S+ +done on /m);
    expect(text).toMatch(/^ {2}result +\{\n {14}"simulated": "300ms"\n/m);
  });
});

describe("change", () => {
  test("edit changes the fields of its flags", async () => {
    const id = await addIdle("--tag", "old", "--timeout", "1m");
    const flags = [
      "--name",
      "new",
      "--tag",
      "x",
      "--priority",
      "9",
      "--timeout",
      "none",
      "--payload",
      "null",
    ];
    expect(await outputOf("edit", String(id), ...flags)).toBe(`Task ${id} changed\n`);
    expect(await client().get(id)).toMatchObject({ name: "new", tags: ["x"], priority: 9, timeout: null });
    await outputOf("edit", String(id), "--label", "region:eu", "--label", "url:http://x");
    expect((await client().get(id)).labels).toEqual({ region: "eu", url: "http://x" });
    expect(await outputOf("get", String(id))).toContain("labels    region:eu, url:http://x");
    expect(await outputOf("list", "--label", "region:eu", "--label", "url:http://x")).toContain("new");
    await outputOf("edit", String(id), "--no-labels");
    expect((await client().get(id)).labels).toEqual({});
    await outputOf("edit", String(id), "--no-tags");
    expect((await client().get(id)).tags).toEqual([]);
  });

  test("cancel, retry and remove print a line for each task", async () => {
    const [a, b] = [await addIdle(), await addIdle()];
    expect(await outputOf("cancel", String(a), String(b))).toBe(`Task ${a} cancelled\nTask ${b} cancelled\n`);
    expect(await outputOf("retry", String(a))).toBe(`Task ${a} is pending again\n`);
    expect(await outputOf("remove", String(a), String(b))).toBe(`Task ${a} deleted\nTask ${b} deleted\n`);
  });

  test("a refusal of one task does not stop the others", async () => {
    const id = await addIdle();
    const { code, stdout, stderr } = await cli("cancel", "999999", String(id));
    expect({ code, stdout }).toEqual({ code: 1, stdout: `Task ${id} cancelled\n` });
    expect(stderr).toMatch(/^tasktrack: task 999999: Task not found \(not_found, request [\w-]+\)\n$/);
  });

  test("cancel --wait runs until the task has ended", async () => {
    const long = await tasktrack(["serve"], {
      env: { ...SERVER, SIMULATE_MIN: "1m", SIMULATE_MAX: "1m" },
    }).url();
    const { id } = await createClient(long).create({ name: "long" });
    await eventually(
      () => createClient(long).get(id),
      ({ status }) => status === "running",
    );
    const { code, stdout } = await cli("cancel", String(id), "--wait", "--url", long);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Task ${id} was asked to stop\nTask ${id} cancelled in [^\n]+\n$`));
  });

  test.each([
    ["cancel", "cancelled or asked to stop"],
    ["retry", "pending again"],
    ["remove", "deleted"],
  ])("%s takes flags that choose, with --yes; without it nothing is done", async (name, past) => {
    const type = `bulk.${name}`;
    await client().createMany(Array.from({ length: 3 }, () => ({ name: "x", type })));
    if (name === "retry") await client().bulk({ filter: { type }, action: "cancel" });
    const refused = await cli(name, "--type", type);
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toStartWith(`tasktrack: ${name} would change 3 tasks, and there is no terminal`);
    expect(await outputOf(name, "--type", type, "--yes")).toBe(`3 tasks ${past}\n`);
    expect((await cli(name, "--type", "no.such", "--yes")).stderr).toBe("tasktrack: no task matches\n");
  });
});

describe("log, explain and stats", () => {
  /** A task that the test has claimed; the test adds log lines and completes it. */
  async function claimed() {
    const id = await addIdle("--priority", "999");
    const call = async (path: string, body: unknown) => {
      const response = await fetch(url + path, { method: "POST", body: JSON.stringify(body) });
      return response.json();
    };
    const { tasks } = await call("/api/worker/claim", { worker: "w", types: ["idle"], max: 1 });
    expect(tasks).toMatchObject([{ id }]);
    const { token } = tasks[0].lease;
    return {
      id,
      log: (...log: unknown[]) =>
        call("/api/worker/heartbeat", { worker: "w", leases: [{ id, token, log }] }),
      complete: () => call(`/api/task/${id}/complete`, { token }),
    };
  }

  test("log shows the lines, of a level and above", async () => {
    const { id, log, complete } = await claimed();
    await log("first\u001b[2J", { level: "warn", message: "second" });
    expect(await outputOf("log", String(id))).toMatch(
      /^\S+ \S+Z info {2}first\\x1b\[2J\n\S+ \S+Z warn {2}second\n$/,
    );
    expect((await outputOf("log", String(id), "--level", "warn")).trimEnd().split("\n")).toHaveLength(1);
    expect(JSON.parse(await outputOf("log", String(id), "--json"))).toMatchObject([
      { n: 1 },
      { n: 2, level: "warn" },
    ]);
    await complete();
  });

  test("log --follow shows new lines, and ends with the task", async () => {
    const { id, log, complete } = await claimed();
    await log("first");
    const following = begin(["log", String(id), "--follow"]);
    await eventually(following.written, ({ stdout }) => stdout.includes("first"));
    await log("second");
    await eventually(following.written, ({ stdout }) => stdout.includes("second"));
    await log("last");
    await complete();
    const { code, stdout } = await following.ended;
    expect(code).toBe(0);
    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split(" ").at(-1)),
    ).toEqual(["first", "second", "last"]);
  });

  test("explain prints the reason in a sentence", async () => {
    const id = await addIdle("--delay", "1h");
    expect(await outputOf("explain", String(id))).toStartWith(`Task ${id}: It is due in `);
    expect(JSON.parse(await outputOf("explain", String(id), "--json"))).toMatchObject({
      id,
      reason: "not_due",
    });
  });

  test("stats shows all statistics", async () => {
    const text = await outputOf("stats");
    expect(text.split("\n")[0]).toMatch(/^\d+ running, [\d,]+ pending, \d+ done, \d+ failed, \d+ cancelled$/);
    for (const part of ["The last hour", "TYPE ", "WORKER ", "Tags: "]) expect(text).toInclude(`\n${part}`);
    expect(Object.keys(JSON.parse(await outputOf("stats", "--json")))).toContain("oldest_waiting");
  });
});

/** Runs `log --follow`; resolves when it has shown a line. */
async function followsLog(server: string, id: number): Promise<ServerProcess> {
  const call = async (path: string, body: unknown) => {
    const response = await fetch(server + path, { method: "POST", body: JSON.stringify(body) });
    return response.json();
  };
  const { tasks } = await call("/api/worker/claim", { worker: "w", types: ["idle"] });
  const { token } = tasks[0].lease;
  await call("/api/worker/heartbeat", { worker: "w", leases: [{ id, token, log: ["a line"] }] });
  await call(`/api/task/${id}/release`, { token });
  const following = begin(["log", String(id), "--follow", "--url", server]);
  await eventually(following.written, ({ stdout }) => stdout.includes("a line"));
  return following;
}

describe("watch in a pipe", () => {
  test("prints a line for each change, without control characters, until a Ctrl-C", async () => {
    const watching = begin(["watch", "--type", "piped.*"]);
    const name = "piped \u001b[31m 日本";
    await eventually(
      async () => {
        await client().create({ name, type: "piped.x" });
        return watching.written().stdout;
      },
      (stdout) => stdout !== "",
    );
    watching.kill("SIGINT");
    const { code, stdout, stderr } = await watching.ended;
    expect({ code, stderr }).toEqual({ code: 130, stderr: "" });
    expect(stdout.split("\n")[0]).toMatch(/^\S+ \S+Z Task \d+ pending \(piped \\x1b\[31m 日本\)$/);
    expect(stdout.replaceAll("\n", "")).not.toMatch(/\p{Cc}/u);
  });

  test("--json prints an event on each line, and --status filters them", async () => {
    const watching = begin(["watch", "--json", "--status", "cancelled"]);
    const seen = await eventually(
      async () => {
        await client().cancel((await client().create({ name: "x", type: "idle" })).id);
        return watching.written().stdout;
      },
      (stdout) => stdout.includes("\n"),
    );
    watching.kill("SIGTERM");
    expect((await watching.ended).code).toBe(143);
    expect(JSON.parse(seen.split("\n")[0] ?? "")).toMatchObject({
      ...{ event: "task", event_id: expect.any(String), task: { status: "cancelled" } },
    });
  });

  test("watch ID --json prints a line for each state, all with the same members", async () => {
    const id = await idIn(outputOf("add", "x", "--quiet"));
    const lines = (await outputOf("watch", String(id), "--json"))
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines.at(-1)).toMatchObject({ event: "task", task: { id, status: "done" } });
    expect(new Set(lines.map(({ task }) => Object.keys(task).join())).size).toBe(1);
  });

  test("reports when the server does not answer and when it does again, and continues", async () => {
    const port = await freePort();
    const env = { ...SERVER, HTTP_PORT: String(port), STORE_URL: `sqlite:${join(home, "away.db")}` };
    const first = tasktrack(["serve"], { env });
    const away = await first.url();
    const { id } = await createClient(away).create({ name: "x", type: "idle" });
    const waiting = begin(["watch", String(id), "--url", away]);
    await eventually(waiting.written, ({ stdout }) => stdout.includes("pending"));
    const following = await followsLog(away, id);
    first.kill("SIGKILL");
    for (const one of [waiting, following]) {
      await eventually(one.written, ({ stderr }) => stderr.includes("does not answer; trying again"));
    }
    await tasktrack(["serve"], { env }).url();
    for (const one of [waiting, following]) {
      await eventually(one.written, ({ stderr }) => stderr.includes("is back"));
    }
    await createClient(away).cancel(id);
    const notices = `tasktrack: ${away} does not answer; trying again\ntasktrack: ${away} is back\n`;
    const { code, stdout, stderr } = await waiting.ended;
    expect({ code, stderr }).toEqual({ code: 4, stderr: notices });
    expect(stdout).toMatch(/ Task \d+ cancelled\n$/);
    expect(await following.ended).toMatchObject({ code: 0, stderr: notices });
  });

  test("reports a task as deleted if the restarted store does not have it", async () => {
    const port = await freePort();
    const env = { ...SERVER, HTTP_PORT: String(port) };
    const first = tasktrack(["serve"], { env });
    const away = await first.url();
    const { id } = await createClient(away).create({ name: "x", type: "idle" });
    const waiting = begin(["watch", String(id), "--url", away]);
    await eventually(waiting.written, ({ stdout }) => stdout.includes("pending"));
    first.kill("SIGKILL");
    await first.ended;
    await tasktrack(["serve"], { env }).url();
    const { code, stdout } = await waiting.ended;
    expect(code).toBe(4);
    expect(stdout).toInclude(`Task ${id} was deleted`);
  });
});

describe("an error", () => {
  test("is printed with a line for each field, and the id of the request", async () => {
    const { code, stdout, stderr } = await cli("add", " ", "--priority", "5000", "--tag", "");
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    const [head, ...fields] = stderr.trimEnd().split("\n");
    expect(head).toMatch(/^tasktrack: the request is not valid \(invalid, request [\w-]+\)$/);
    expect(fields.sort()).toEqual([
      "  name must not be empty",
      "  priority must be a whole number from -1000 to 1000",
      "  tags/0 must not be empty",
    ]);
  });

  test.each([
    ["a server that does not exist", ["list"], { TASKTRACK_URL: "http://127.0.0.1:1" }],
    ["a server that does not exist, for a live table", ["watch"], { TASKTRACK_URL: "http://127.0.0.1:1" }],
    ["a server that a flag names", ["cancel", "1", "2", "--url", "http://127.0.0.1:1"], {}],
  ])("about %s names the address and the flag for another address", async (_, args, env) => {
    const { code, stdout, stderr } = await begin(args, env).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toMatch(/^tasktrack: (task 1: )?http:\/\/127\.0\.0\.1:1 does not answer: /);
    expect(stderr).toInclude("or give another address with --url or TASKTRACK_URL (now http://127.0.0.1:1)");
    expect(stderr.trimEnd().split("\n")).toHaveLength(2);
  });

  const usage: readonly (readonly [readonly string[], string])[] = [
    [["lst"], 'there is no command "lst"; did you mean list? (see tasktrack --help)'],
    [["add"], "add needs NAME (see tasktrack add --help)"],
    [["add", "two", "words"], 'add takes one NAME; "words" is too many (quote a text with spaces)'],
    [["add", "x", "--prioriti", "1"], "there is no flag --prioriti; did you mean --priority?"],
    [["add", "x", "--priority", "high"], '--priority: expected a whole number, got "high"'],
    [["add", "x", "--backoff", "1s"], '--backoff: expected two durations such as "1s,1h", got "1s"'],
    [["add", "x", "--label", "region=eu"], '--label: expected NAME:VALUE, got "region=eu"'],
    [["add", "x", "--payload", "{"], "--payload: expected JSON"],
    [["add", "x", "--payload", "@none.json"], '--payload: "none.json" cannot be read: ENOENT'],
    [["add", "x", "--json", "--quiet"], "--json and --quiet do not go together"],
    [["get", "seven"], 'expected the id of a task, a whole number from 1, got "seven"'],
    [["edit", "7"], "edit needs at least one flag that changes a field"],
    [["list", "--limit", "0"], "--limit: expected a whole number from 1, got 0"],
    [["list", "--all", "--limit", "1"], "--all and --limit do not go together"],
    [["list", "--status", "runing"], "did you mean running?"],
    [["cancel"], "cancel needs an ID, or a flag that chooses tasks, such as --status failed"],
    [["cancel", "7", "--status", "failed"], "ids and flags that choose tasks do not go together"],
    [["cancel", "--status", "running", "--wait"], "--wait needs ids"],
    [["list", "--url", "here"], "expected the server's address"],
    [["completion", "csh"], "SHELL: expected bash, zsh or fish"],
  ];
  test.each(usage)("of the command line is one line and exit code 2: %j", async (args, message) => {
    const { code, stdout, stderr } = await cli(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^tasktrack: [^\n]+\n$/);
    expect(stderr).toInclude(message);
  });
});

describe("help", () => {
  const NAMES = [
    ...[
      "serve",
      "worker",
      "add",
      "list",
      "get",
      "watch",
      "cancel",
      "retry",
      "edit",
      "remove",
      "log",
      "explain",
    ],
    ...["stats", "bench", "migrate", "copy", "completion"],
  ];

  test("lists every command, and describes the exit codes", async () => {
    const text = await outputOf("--help");
    for (const name of NAMES) expect(text).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
    expect(text).toInclude("3    the task failed");
    expect(text).toInclude("TASKTRACK_URL");
  });

  test.each(NAMES)("%s has a page with its flags and an example", async (name) => {
    const text = await outputOf(name, "--help");
    expect(text).toStartWith(`Usage: tasktrack ${name} `);
    expect(text).toMatch(/^ {2}--help +this page$/m);
    expect(text).toInclude(`\nExamples:\n`);
    expect(await outputOf("help", name)).toBe(text);
    const [words = ""] = text.split("Examples:");
    for (const line of words.split("\n")) expect(Bun.stringWidth(line)).toBeLessThanOrEqual(80);
  });

  test("of serve has every setting", async () => {
    const text = await outputOf("serve", "--help");
    for (const { flag, name } of settings) {
      expect(text).toInclude(`--${flag} VALUE`);
      expect(text).toInclude(`${name}, default `);
    }
  });
});
