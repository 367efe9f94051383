/** The package as it is published: on the runtimes that it promises, and in a strict project of somebody else's. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningApp, startApp } from "../support/app.ts";

const ROOT = join(import.meta.dir, "../..");
let home: string;
let server: RunningApp;

/** Not `spawnSync`: the server lives in this process. */
async function run(command: readonly string[]): Promise<{ readonly code: number; readonly said: string }> {
  const child = Bun.spawn([...command], { cwd: home, stdout: "pipe", stderr: "pipe" });
  const said = await new Response(child.stdout).text();
  const complained = await new Response(child.stderr).text();
  return { code: await child.exited, said: said + complained };
}

const SCRIPT = `
import { createClient, createWorker, TaskTrackError } from "tasktrack";
import { command } from "tasktrack/handlers";
const url = process.argv[2];
const client = createClient(url);
const { status } = await client.run({ name: "from afar" });
const abort = new AbortController();
const creating = setInterval(() => void client.create({ name: "seen" }), 20);
let seen = "nothing";
for await (const event of client.watch({ signal: abort.signal })) { seen = event.kind; break; }
clearInterval(creating);
const code = await client.get(999999).catch((error) => error instanceof TaskTrackError && error.code);
const worker = createWorker({ url, handlers: { nothing: async () => null }, log: { debug() {}, info() {}, warn() {}, error() {}, isDebug: false } });
worker.start();
const left = await worker.stop(0);
const echo = command(["echo", '{{"said":{payload.word}}}']);
const context = { signal: abort.signal, progress() {}, log() {} };
const task = { id: 1, name: "n", description: "", type: "t", tags: [], attempt: 1, losses: 0, createdAt: 0, payload: { word: 5 } };
const { said } = await echo(task, { ...context, signal: new AbortController().signal });
console.log([status, seen, code, left, said].join());
`;

const CONSUMER = `
import { createClient, createWorker, fail, type Handler, snooze, type Task, type WatchEvent } from "tasktrack";
import { command, type Handlers, http } from "tasktrack/handlers";
const client = createClient("http://localhost:8080", { retries: 1 });
export const task: Promise<Task> = client.run({ name: "x", run_at: new Date() });
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

beforeAll(async () => {
  server = await startApp();
  home = await mkdtemp(join(tmpdir(), "tasktrack-sdk-"));
  await mkdir(join(home, "node_modules"));
  await writeFile(join(home, "package.json"), '{"type":"module"}');
  await writeFile(join(home, "script.mjs"), SCRIPT);
  await writeFile(join(home, "consumer.ts"), CONSUMER);
  const built = await run([
    process.execPath,
    join(ROOT, "scripts/build-sdk.ts"),
    join(home, "node_modules/tasktrack"),
  ]);
  expect(built).toEqual({ code: 0, said: "" });
});
afterAll(async () => {
  await server.stop();
  await rm(home, { recursive: true });
});

test.each([["node"], [process.execPath]])("runs on %s", async (runtime) => {
  expect(await run([runtime, "script.mjs", server.url])).toEqual({
    code: 0,
    said: "done,task,not_found,0,5\n",
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
    expect(compiled).toEqual({ code: 0, said: "" });
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
