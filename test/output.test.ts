/** Processes whose output is not read: a log without a reader, a closed terminal, a closed pipe. */
import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "../src/client/client.ts";
import { eventually } from "./support/eventually.ts";
import { executable, killLeftovers, npmStart, tasktrack } from "./support/server-process.ts";
import { freePort } from "./support/servers/runner.ts";

const home = mkdtempSync(join(tmpdir(), "tasktrack-output-"));
afterEach(killLeftovers);
afterAll(() => rmSync(home, { recursive: true, force: true }));

const ENV = {
  ...{ HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", DISPATCH_INTERVAL: "0s", LOG_LEVEL: "debug" },
  ...{ SIMULATE_MIN: "10ms", SIMULATE_MAX: "20ms", SIMULATE_FAILURE_RATE: "0" },
};

const MAIN = join(import.meta.dir, "../src/main.ts");

/** Each step of a task is a line of the log. */
async function expectItWorks(url: string): Promise<void> {
  const client = createClient(url);
  for (let n = 0; n < 10; n++)
    expect((await client.run({ name: "x", type: "simulate" })).status).toBe("done");
}

describe("a server whose log is no longer read", () => {
  test.each([
    ["tasktrack serve", () => tasktrack(["serve"], { env: ENV })],
    ["npm start", () => npmStart(ENV)],
  ])("continues, and ends as usual: %s", async (_, start) => {
    const server = start();
    const url = await server.url();
    server.closeOutput();
    await expectItWorks(url);
    server.kill("SIGTERM");
    expect((await server.ended).code).toBe(0);
  });

  test("runs handlers that print", async () => {
    const module = join(home, "printing.ts");
    writeFileSync(
      module,
      `export default { print: () => {
         for (const stream of [process.stdout, process.stderr]) for (let n = 0; n < 100; n++) stream.write("line\\n");
         return "printed";
       } };`,
    );
    const server = tasktrack(["serve"], { env: { ...ENV, HANDLERS: module, HANDLER_PROCESSES: "1" } });
    const client = createClient(await server.url());
    server.closeOutput();
    for (let n = 0; n < 5; n++) {
      expect(await client.run({ name: "x", type: "print" })).toMatchObject({ status: "done", attempt: 1 });
    }
  });

  test("continues when the disk is full", async () => {
    const port = String(await freePort());
    const env = { ...ENV, HTTP_PORT: port };
    const server = executable(
      "/bin/sh",
      ["-c", `exec "${process.execPath}" --no-env-file "${MAIN}" serve >/dev/full`],
      {
        env,
      },
    );
    const url = `http://127.0.0.1:${port}`;
    const answers = () =>
      fetch(`${url}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      );
    await eventually(answers, Boolean);
    await expectItWorks(url);
    server.kill("SIGTERM");
    expect(await server.ended).toMatchObject({ code: 0, stderr: "" });
  });
});

test("a server whose log is read slowly answers all requests, and logs later how many lines were dropped", async () => {
  const ROUNDS = 10;
  const AT_ONCE = 100;
  const server = tasktrack(["serve"], { env: ENV });
  const url = await server.url();
  server.pauseOutput();
  const path = `/${"x".repeat(4_000)}`; // the log line of the request contains it
  const ask = async (): Promise<number> => (await fetch(`${url}${path}`)).status;
  for (let round = 0; round < ROUNDS; round++) {
    expect(new Set(await Promise.all(Array.from({ length: AT_ONCE }, ask)))).toEqual(new Set([404]));
  }
  server.resumeOutput();
  const seen = () => server.events().filter(({ event }) => event === "request").length;
  const missing = () =>
    server
      .events()
      .filter(({ event }) => event === "log_lines_dropped")
      .reduce((sum, { count }) => sum + Number(count), 0);
  await eventually(
    () => seen() + missing(),
    (count) => count === ROUNDS * AT_ONCE,
  );
  expect(missing()).toBeGreaterThan(0);
});

test("a server under nohup continues after its terminal is closed", async () => {
  const server = executable("nohup", [process.execPath, "--no-env-file", MAIN, "serve"], { env: ENV });
  const url = await server.url();
  server.kill("SIGHUP");
  await expectItWorks(url);
  expect(server.events().map(({ event }) => event)).not.toContain("signal");
  server.kill("SIGTERM");
  expect((await server.ended).code).toBe(0);
});

describe("a command whose output pipe is closed", () => {
  test.each([[["--help"]], [["serve", "--help"]], [["--version"]]])(
    "ends quietly: tasktrack %p",
    async (args) => {
      const command = tasktrack(args);
      command.closeOutput();
      const { code } = await command.ended;
      expect(code).toBe(0);
    },
  );

  test("completes its work", async () => {
    const server = tasktrack(["serve"], { env: ENV });
    const url = await server.url();
    const client = createClient(url);
    const ids = await client.createMany(Array.from({ length: 20 }, () => ({ name: "x", delay: "1h" })));
    const command = tasktrack(["cancel", ...ids.map(String), "--url", url]);
    command.closeOutput();
    expect((await command.ended).code).toBe(0);
    for (const id of ids) expect((await client.get(id)).status).toBe("cancelled");
  });
});
