/** The handlers of the examples in a real worker with a real server. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  createReadStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { createBrotliDecompress, createGunzip, createZstdDecompress } from "node:zlib";
import programs from "../../examples/handlers/command.ts";
import compressing from "../../examples/handlers/compress.ts";
import { type Client, createClient, createWorker, type Task, type Worker } from "../../src/client/client.ts";
import { command } from "../../src/handlers/command.ts";
import { createTestLog } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { killLeftovers, type ServerProcess, tasktrack } from "../support/server-process.ts";

const MIB = 1_048_576;
/** So large that its compression still runs when the first progress is seen. */
const LARGE = 220 * MIB;
/** It has many chunks, and is small enough to be compressed and unpacked in three formats within seconds. */
const MODERATE = 32 * MIB;

let server: ServerProcess;
let url: string;
let client: Client;
let folder: string;
let large: string;
let moderate: string;
let workers: Worker[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "tasktrack-handlers-"));
  large = join(folder, "large");
  moderate = join(folder, "moderate");
  await writeMixed(large, LARGE);
  await writeMixed(moderate, MODERATE);
  server = tasktrack(["serve"], {
    env: { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", LEASE: "2s", SHUTDOWN_GRACE: "0s" },
  });
  url = await server.url();
  client = createClient(url);
});
afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop(0)));
  workers = [];
});
afterAll(async () => {
  killLeftovers();
  await server.ended;
  rmSync(folder, { recursive: true });
});

/** A file of random bytes and text, half of each: it can be compressed, but not to almost nothing. */
async function writeMixed(path: string, size: number): Promise<void> {
  const file = await open(path, "w");
  const noise = randomBytes(MIB);
  for (let written = 0; written < size; written += 2 * MIB) {
    noise.writeUInt32LE(written);
    await file.write(noise);
    await file.write(Buffer.alloc(MIB, `the line at ${written} of many lines\n`));
  }
  await file.close();
}

async function hashOf(path: string, through?: Duplex): Promise<string> {
  const hash = createHash("sha256");
  const bytes = createReadStream(path);
  for await (const chunk of through === undefined ? bytes : bytes.pipe(through)) hash.update(chunk);
  return hash.digest("hex");
}

function work(handlers: Parameters<typeof createWorker>[0]["handlers"]): Worker {
  const worker = createWorker({ url, handlers, lease: "2s", log: createTestLog() });
  worker.start();
  workers.push(worker);
  return worker;
}

const submit = async (type: string, payload: unknown): Promise<number> =>
  (await client.create({ name: type, type, payload, max_attempts: 1 })).id;
const becomes = (id: number, is: (task: Task) => boolean): Promise<Task> =>
  eventually(() => client.get(id), is);
const isEnded = ({ finished_at }: Task): boolean => finished_at !== null;
const isAtWork = ({ progress }: Task): boolean => progress !== null && progress.percent > 0;
const parts = (): string[] => readdirSync(folder).filter((name) => name.endsWith(".part"));

/** Follows a task to its end; returns all percentages of its progress. */
async function percentsOf(id: number): Promise<number[]> {
  const shown: number[] = [];
  await becomes(id, (task) => {
    const percent = task.progress?.percent;
    if (percent !== undefined && percent !== shown.at(-1)) shown.push(percent);
    return isEnded(task);
  });
  return shown;
}

describe("file.compress", () => {
  test.each([
    ["gzip", createGunzip],
    ["brotli", createBrotliDecompress],
    ["zstd", createZstdDecompress],
  ] as const)("compresses a file by %s, with progress by bytes", async (format, decompress) => {
    work(compressing);
    const output = join(folder, `moderate.${format}`);
    const id = await submit("file.compress", { input: moderate, output, format });
    const shown = await percentsOf(id);
    expect(shown).toEqual(shown.toSorted((a, b) => a - b));
    expect(shown.at(-1)).toBe(100);
    const { status, result } = await client.get(id);
    expect(status).toBe("done");
    expect(result).toMatchObject({ bytes_in: MODERATE });
    expect(await hashOf(output, decompress())).toBe(await hashOf(moderate));
    expect(parts()).toEqual([]);
  });

  test("ends soon when it is cancelled, and leaves no file behind", async () => {
    work(compressing);
    const output = join(folder, "cancelled.gz");
    const id = await submit("file.compress", { input: large, output });
    const { progress } = await becomes(id, isAtWork);
    expect(progress?.percent).toBeLessThan(100);
    expect(parts()).toHaveLength(1);
    await client.cancel(id);
    expect((await becomes(id, isEnded)).status).toBe("cancelled");
    expect(parts()).toEqual([]);
    expect(existsSync(output)).toBe(false);
  });

  test.each([
    ["no payload", null],
    ["no output", { input: "/x" }],
    ["an unknown format", { input: "/x", output: "/y", format: "toString" }],
    ["the same file as input and output", { input: "/x", output: "/x" }],
  ])("fails permanently with %s", async (_, payload) => {
    work(compressing);
    const task = await becomes(await submit("file.compress", payload), isEnded);
    expect(task).toMatchObject({ status: "failed", error: { code: "bad_payload" } });
  });

  test("fails if the file does not exist, and leaves no file behind", async () => {
    work(compressing);
    const payload = { input: join(folder, "nowhere"), output: join(folder, "nothing") };
    expect((await becomes(await submit("file.compress", payload), isEnded)).status).toBe("failed");
    expect(parts()).toEqual([]);
  });
});

describe("folder.pack", () => {
  test("packs a folder, with progress by files and a result", async () => {
    work(programs);
    const many = join(folder, "many files");
    mkdirSync(many);
    for (let n = 0; n < 300; n++) writeFileSync(join(many, `file ${n}`), randomBytes(100_000));
    const output = join(folder, "many files.tar.gz");
    const id = await submit("folder.pack", { folder: many, output });
    const shown = await percentsOf(id);
    expect(shown.at(-1)).toBe(100);
    const listed = spawnSync("tar", ["-tzf", output], { encoding: "utf8" }).stdout.trim().split("\n");
    expect(await client.get(id)).toMatchObject({
      status: "done",
      result: { files: 301, bytes: Bun.file(output).size },
    });
    expect(listed).toHaveLength(301);
  });

  test("leaves no file behind when it is cancelled", async () => {
    work(programs);
    const output = join(folder, "cancelled.tar.gz");
    const id = await submit("folder.pack", { folder, output });
    await becomes(id, () => parts().length === 1);
    await client.cancel(id);
    expect((await becomes(id, isEnded)).status).toBe("cancelled");
    expect(parts()).toEqual([]);
    expect(existsSync(output)).toBe(false);
  });

  test("fails permanently if the folder does not exist", async () => {
    work(programs);
    const payload = { folder: join(folder, "nowhere"), output: join(folder, "x") };
    const { error } = await becomes(await submit("folder.pack", payload), isEnded);
    expect(error).toEqual({
      code: "exit_66",
      message: `bash exited with code 66: ${payload.folder}: no such folder`,
    });
  });
});

test("file.checksum keeps the checksum in the task's log", async () => {
  work(programs);
  const file = join(folder, "-dashed");
  writeFileSync(file, "abc");
  const id = await submit("file.checksum", { file });
  expect((await becomes(id, isEnded)).status).toBe("done");
  const [line] = await client.log(id);
  expect(line?.message).toBe(`${await hashOf(file)}  ${file}`);
});

test("a task of a command that ignores SIGTERM is released when its worker stops", async () => {
  const worker = work({
    unstoppable: command(["sh", "-c", "trap '' TERM; echo unstoppable; while :; do sleep 1; done"]),
  });
  const id = await submit("unstoppable", null);
  await eventually(
    () => client.log(id),
    (lines) => lines.length === 1,
  );
  expect(await worker.stop(0)).toBe(0);
  expect(await client.get(id)).toMatchObject({ status: "pending", attempt: 0 });
});
