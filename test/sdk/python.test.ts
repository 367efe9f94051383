/** The example in Python as a process: work, heartbeats, a kill, a suspension, a cancel request and SIGTERM. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { CANCEL_GRACE_MS } from "../../src/core/lease.ts";
import type { Task } from "../../src/core/task.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { eventually } from "../support/eventually.ts";
import { programAt } from "../support/programs.ts";
import { create } from "../support/verbs.ts";

const SCRIPT = join(import.meta.dir, "../../examples/python/worker.py");
const LEASE_MS = 3_000;
/** The server itself ends a cancelled task if its worker does not end it within half a minute. */
const LONG_BEFORE_THAT_MS = CANCEL_GRACE_MS - 5_000;

let server: RunningApp;
let processes: Bun.Subprocess[] = [];
let types = 0;
beforeAll(async () => {
  server = await startApp({ LEASE: "1s" });
});
afterEach(async () => {
  for (const child of processes) child.kill("SIGKILL");
  await Promise.all(processes.map(({ exited }) => exited));
  processes = [];
});
afterAll(() => server.stop());

function startWorker(type: string): Bun.Subprocess {
  const child = Bun.spawn([programAt("python3"), SCRIPT, server.url, type], {
    env: { ...process.env, LEASE_SECONDS: String(LEASE_MS / 1_000) },
    stdout: "ignore",
    stderr: "inherit",
  });
  processes.push(child);
  return child;
}

const becomes = (id: number, is: (task: Task) => boolean, withinMs?: number): Promise<Task> =>
  eventually(() => server.app.engine.get(id), is, withinMs);
const isRunning = ({ status }: Task): boolean => status === "running";
const isEnded = ({ finishedAt }: Task): boolean => finishedAt !== null;
const submit = (type: string, seconds: number): Promise<number> =>
  create(server.app.engine, { type, payload: JSON.stringify({ seconds }) });

/** A late outcome of a worker that has lost its lease. */
const completeLate = async (id: number, token: string | null): Promise<{ status: number; code: unknown }> => {
  const response = await fetch(`${server.url}/api/task/${id}/complete`, {
    method: "POST",
    body: JSON.stringify({ token, result: "late" }),
  });
  return { status: response.status, code: ((await response.json()) as { code: unknown }).code };
};

describe("the worker in Python", () => {
  test("completes tasks, one after another", async () => {
    const type = `count-${++types}`;
    startWorker(type);
    const ids = [await submit(type, 0), await submit(type, 0), await submit(type, 0.2)];
    for (const id of ids) expect(await becomes(id, isEnded)).toMatchObject({ status: "done", attempt: 1 });
    const { result } = await server.app.engine.get(ids[2] ?? 0);
    expect(result).toInclude('"counted": 0.2'); // in the form of Python's JSON
  });

  test("holds a task for longer than its lease", async () => {
    const type = `count-${++types}`;
    startWorker(type);
    const id = await submit(type, (2 * LEASE_MS) / 1_000);
    expect(await becomes(id, isEnded)).toMatchObject({ status: "done", attempt: 1, losses: 0 });
  });

  test("loses its task to another worker when it is killed, and its late outcome has no effect", async () => {
    const type = `count-${++types}`;
    const first = startWorker(type);
    const id = await submit(type, 4);
    const { token } = await becomes(id, isRunning);
    first.kill("SIGKILL");
    startWorker(type);
    await becomes(id, (task) => isRunning(task) && task.attempt === 2);
    expect(await completeLate(id, token)).toEqual({ status: 409, code: "lease_lost" });
    expect(await becomes(id, isEnded)).toMatchObject({ status: "done", attempt: 2, losses: 1 });
  });

  test("loses its task to another worker when it is suspended for two leases, and does not disturb it", async () => {
    const type = `count-${++types}`;
    const first = startWorker(type);
    const id = await submit(type, 4);
    const { token } = await becomes(id, isRunning);
    first.kill("SIGSTOP");
    startWorker(type);
    const taken = await becomes(id, (task) => isRunning(task) && task.attempt === 2);
    const startedAt = taken.startedAt ?? 0;
    await becomes(id, (task) => (task.lease?.until ?? 0) > startedAt + 2 * LEASE_MS);
    first.kill("SIGCONT");
    expect(await completeLate(id, token)).toEqual({ status: 409, code: "lease_lost" });
    const done = await becomes(id, isEnded);
    expect(done).toMatchObject({ status: "done", attempt: 2, losses: 1 });
    expect(done.result).not.toInclude(`-${first.pid}"`);
  });

  test("gets a cancel request with its next heartbeat", async () => {
    const type = `count-${++types}`;
    startWorker(type);
    const id = await submit(type, 60);
    await becomes(id, isRunning);
    await server.app.engine.cancel(id);
    expect(await becomes(id, isEnded, LONG_BEFORE_THAT_MS)).toMatchObject({
      status: "cancelled",
      attempt: 1,
    });
  });

  test("finishes its tasks after SIGTERM, claims no more and ends", async () => {
    const type = `count-${++types}`;
    const worker = startWorker(type);
    const id = await submit(type, 1);
    await becomes(id, isRunning);
    const waiting = await submit(type, 0);
    worker.kill("SIGTERM");
    expect(await worker.exited).toBe(0);
    expect((await server.app.engine.get(id)).status).toBe("done");
    expect((await server.app.engine.get(waiting)).status).toBe("pending");
  });
});
