/** The published package on all supported runtimes, and in a strict TypeScript project. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningApp, startApp } from "../support/app.ts";
import { installRuntimes, RUNTIMES } from "../support/runtimes.ts";

const ROOT = join(import.meta.dir, "../..");
/** The number of cases in exam.mjs. */
const CASES = 11;
let home: string;
let server: RunningApp;

/** Not `spawnSync`, because the server runs in this process. */
async function run(command: readonly string[]): Promise<{ readonly code: number; readonly output: string }> {
  const child = Bun.spawn([...command], { cwd: home, stdout: "pipe", stderr: "pipe" });
  const output = await new Response(child.stdout).text();
  const complained = await new Response(child.stderr).text();
  return { code: await child.exited, output: output + complained };
}

/** The cases of exam.mjs on each runtime, and a handler that starts a program. */
const SCRIPT = `
import * as sdk from "tasktrack";
import { command } from "tasktrack/handlers";
import { examine } from "./exam.mjs";
const [url, runtime] = globalThis.Deno?.args ?? process.argv.slice(2);
for (const line of await examine(sdk, url, runtime)) console.log(line);
const echo = command(["echo", '{{"output":{payload.word}}}']);
const task = { id: 1, name: "n", description: "", type: "t", tags: [], attempt: 1, losses: 0, createdAt: 0, payload: { word: 5 } };
const { output } = await echo(task, { signal: new AbortController().signal, progress() {}, log() {} });
console.log("output", output);
`;

const CONSUMER = `
import { createClient, createWorker, fail, type Handler, snooze, type Task, type WatchEvent } from "tasktrack";
import { command, type Handlers, http } from "tasktrack/handlers";
const client = createClient("http://localhost:8080", { retries: 1 });
const signal: AbortSignal | undefined = undefined;
export const task: Promise<Task> = client.run({ name: "x", run_at: new Date(), key: undefined }, { signal });
export const handler: Handler = async ({ payload }, { signal, progress }) => {
  progress(1, String(payload));
  return signal.aborted ? fail("no", { retryable: false }) : snooze("1m");
};
export const worker = createWorker({ url: "http://localhost:8080", handlers: { x: handler }, lease: "10s" });
export const kinds = (event: WatchEvent): number => (event.kind === "task" ? event.task.id : 0);
export default {
  "video.encode": { handler: command(["ffmpeg", "-i", "{payload.input}"], { killAfter: "1s" }), timeout: "1h" },
  "invoice.send": http("https://billing.example/hook"),
} satisfies Handlers;
// @ts-expect-error a task needs a name
void client.create({});
`;

const CONSUMER_BY_PATH = `
import { createClient } from "./vendor/tasktrack.js";
import { command } from "./vendor/handlers.js";
// @ts-expect-error a task needs a name
void createClient("http://localhost:8080").create({});
// @ts-expect-error a command is a list
command("echo");
`;

beforeAll(async () => {
  server = await startApp();
  home = await mkdtemp(join(tmpdir(), "tasktrack-sdk-"));
  await mkdir(join(home, "node_modules"));
  await writeFile(join(home, "package.json"), '{"type":"module"}');
  await writeFile(join(home, "script.mjs"), SCRIPT);
  await cp(join(import.meta.dir, "exam.mjs"), join(home, "exam.mjs"));
  await writeFile(join(home, "consumer.ts"), CONSUMER);
  await writeFile(join(home, "by-path.ts"), CONSUMER_BY_PATH);
  const built = await run([
    process.execPath,
    join(ROOT, "scripts/build-sdk.ts"),
    join(home, "node_modules/tasktrack"),
  ]);
  expect(built).toEqual({ code: 0, output: "" });
  await cp(join(home, "node_modules/tasktrack"), join(home, "vendor"), { recursive: true });
});
afterAll(async () => {
  await server.stop();
  await rm(home, { recursive: true });
});

const DENO = ["run", "--quiet", "--allow-all", "--no-lock", "--node-modules-dir=manual"];

describe("the SDK", () => {
  let paths: Record<keyof typeof RUNTIMES, string>;
  beforeAll(() => {
    paths = installRuntimes(RUNTIMES);
  }, 600_000);

  test.each([...(Object.keys(RUNTIMES) as (keyof typeof RUNTIMES)[]), "bun"] as const)(
    "passes its exam on %s",
    async (name) => {
      const program = name === "bun" ? process.execPath : paths[name];
      const { code, output } = await run([
        program,
        ...(name === "deno" ? DENO : []),
        "script.mjs",
        server.url,
        name,
      ]);
      const lines = output.trimEnd().split("\n");
      expect(lines.filter((line) => !line.startsWith("ok "))).toEqual(["output 5"]);
      expect({ code, cases: lines.length - 1 }).toEqual({ code: 0, cases: CASES });
    },
  );

  test("has types that Deno finds", async () => {
    const checked = await run([
      paths.deno,
      "check",
      "--quiet",
      "--no-lock",
      "--node-modules-dir=manual",
      "consumer.ts",
      "by-path.ts",
    ]);
    expect(checked).toEqual({ code: 0, output: "" });
  });
});

test.each([["bundler"], ["nodenext"]])(
  "its types compile in a strict project, resolved as %s",
  async (resolution) => {
    const module = resolution === "bundler" ? "esnext" : "nodenext";
    const options = [
      "--strict",
      "--noEmit",
      "--target",
      "es2023",
      "--lib",
      "es2023,dom",
      "--exactOptionalPropertyTypes",
    ];
    const compiled = await run([
      join(ROOT, "node_modules/.bin/tsc"),
      ...options,
      ...["--module", module, "--moduleResolution", resolution, "consumer.ts"],
    ]);
    expect(compiled).toEqual({ code: 0, output: "" });
  },
);

test("needs no other package", async () => {
  const manifest = await Bun.file(join(home, "node_modules/tasktrack/package.json")).json();
  expect(manifest.dependencies).toBeUndefined();
  const text = (file: string): Promise<string> => Bun.file(join(home, "node_modules/tasktrack", file)).text();
  expect(await text("tasktrack.js")).not.toMatch(/^import /m);
  expect(await text("handlers.js")).not.toMatch(
    /^import (?!.* from "(node:)?(child_process|fs|dns|http|net|tls|dns\/promises|crypto)")/m,
  );
});
