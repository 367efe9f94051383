/** Tests of an example worker as a process, in any language: work, heartbeats, stops, deaths, freezes and outages of the server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { hostname } from "node:os";
import { compacted, valueAt } from "../../src/core/json-text.ts";
import { CANCEL_GRACE_MS } from "../../src/core/lease.ts";
import type { Task } from "../../src/core/task.ts";
import { createSemaphore } from "../../src/lib/semaphore.ts";
import { eventually } from "../support/eventually.ts";
import { killLeftovers, type ServerProcess, tasktrack } from "../support/server-process.ts";

export type WorkerExam = {
  /** The command that starts a worker for tasks of this type, which count to `payload.seconds`. The worker's name is host and pid. */
  readonly command: (server: string, type: string) => readonly string[];
  /** Installs and builds what the command needs. */
  readonly prepare: () => void;
  /** The number of tasks that it runs at the same time. */
  readonly slots: number;
  /**
   * The number of cases that run at the same time: a case mostly waits for a lease, a heartbeat or a pause. It is small for a
   * worker that starts many programs, so that they start within its lease on a busy machine.
   */
  readonly atOnce: number;
  /** The effect of SIGTERM on a running task. */
  readonly onStop: "releases" | "finishes";
  /**
   * The same worker for tasks whose `payload.kind` selects the result, and the expected end of each task. The result of the kind
   * "echo" is the payload.
   */
  readonly results: {
    readonly command: (server: string, type: string) => readonly string[];
    readonly kinds: Readonly<Record<string, ResultExam>>;
  };
};

type ResultExam =
  | { readonly status: "done"; readonly result: unknown }
  | { readonly status: "failed"; readonly code: string };

/** Whole seconds, because the worker in bash needs them; long enough for it on a machine that is busy with other tests. */
const LEASE_MS = 3_000;
/** The server itself ends a cancelled task if its worker does not end it within half a minute. */
const LONG_BEFORE_THAT_MS = CANCEL_GRACE_MS - 5_000;

const JSON_TYPE = { "content-type": "application/json" };

type Seen = {
  readonly id: number;
  readonly status: Task["status"];
  readonly attempt: number;
  readonly progress: { readonly percent: number } | null;
  readonly result: unknown;
  readonly error: { readonly code: string; readonly message: string } | null;
  readonly attempts: readonly { readonly outcome: string | null }[];
};

const FOR_EVER = new AbortController().signal;
/** Only a case that hangs takes this long. It includes the wait until the case may run. */
const CASE_WITHIN_MS = 300_000;

/** A worker process, which is the leader of its own session. */
type Worker = { readonly pid: number; readonly child: ChildProcess; readonly ended: Promise<number | null> };

/** A column of `ps` for all processes of a session, in all its groups. */
const columnOf = (session: number, column: string): string[] =>
  spawnSync("ps", ["-o", `${column}=`, "-s", String(session)], { encoding: "utf8" })
    .stdout.split("\n")
    .filter((line) => line.trim() !== "");

const processesOf = (session: number): number[] => columnOf(session, "pid").map(Number);
const areStopped = (session: number): boolean =>
  columnOf(session, "stat").every((state) => /^[TZ]/.test(state));

/** A process that starts at this moment may be missed, so the signal is sent until all processes are stopped. */
async function freezeAll(session: number): Promise<void> {
  do {
    signalAll(session, "SIGSTOP");
    await Bun.sleep(1);
  } while (!areStopped(session));
}

function signalAll(session: number, signal: NodeJS.Signals): void {
  for (const pid of processesOf(session)) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error; // process.kill throws this type; ESRCH: the process has just ended
    }
  }
}

export function examineWorker(title: string, exam: WorkerExam): void {
  let server: ServerProcess;
  let url: string;
  let types = 0;
  const places = createSemaphore(exam.atOnce);

  beforeAll(async () => {
    exam.prepare();
    const env = { HTTP_HOST: "127.0.0.1", HTTP_PORT: "0", LEASE: "1s", SHUTDOWN_GRACE: "0s" };
    server = tasktrack(["serve"], { env });
    url = await server.url();
  }, 300_000);
  afterAll(async () => {
    killLeftovers();
    await server.ended;
  });

  function startWorker(type: string, address = url, command = exam.command, leaseMs = LEASE_MS): Worker {
    const [program = "", ...args] = command(address, type);
    const child = spawn(program, args, {
      env: { ...process.env, LEASE_SECONDS: String(leaseMs / 1_000) },
      detached: true,
      stdio: ["ignore", "ignore", "inherit"],
    });
    const ended = once(child, "exit").then(([code]) => code as number | null); // the first argument of `exit`
    return { pid: child.pid ?? Number.NaN, child, ended };
  }

  async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
    const init = body === undefined ? {} : { body: JSON.stringify(body) };
    const answer = await fetch(`${url}/api/${path}`, { method, ...init });
    return (await answer.json()) as T; // in the form that the API documents
  }

  const submit = async (type: string, payload: unknown, fields: object = {}): Promise<number> => {
    const task = { name: "count", type, payload, backoff: { base: "0s", max: "0s" }, ...fields };
    return (await ask<{ task_id: number }>("POST", "task", task)).task_id;
  };
  const look = (id: number): Promise<Seen> => ask("GET", `task/${id}`);
  const becomes = (id: number, is: (task: Seen) => boolean, withinMs?: number): Promise<Seen> =>
    eventually(() => look(id), is, withinMs);
  const isRunning = ({ status }: Seen): boolean => status === "running";
  const isEnded = ({ status }: Seen): boolean => ["done", "failed", "cancelled"].includes(status);
  const isTaken = (task: Seen): boolean => isRunning(task) && task.attempt === 2;

  /**
   * A proxy between worker and server. It answers some requests itself and forwards the others. A forwarded request continues
   * after its client has disconnected, as with HAProxy, Apache httpd and Varnish.
   */
  function startProxy(answer: (path: string) => Response | null | Promise<Response | null>) {
    const asked: string[] = [];
    const answered: string[] = [];
    const among = (paths: readonly string[], end: string): number =>
      paths.filter((path) => path.endsWith(end)).length;
    const proxy = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      idleTimeout: 0,
      async fetch(request) {
        const { pathname } = new URL(request.url);
        const body = await request.text();
        asked.push(pathname);
        const own = await answer(pathname);
        const given = own ?? (await fetch(url + pathname, { method: "POST", body, headers: JSON_TYPE }));
        answered.push(pathname);
        return given;
      },
    });
    return {
      stop: () => proxy.stop(true),
      url: `http://127.0.0.1:${proxy.port}`,
      count: (end: string) => among(asked, end),
      answered: (end: string) => among(answered, end),
    };
  }

  /** The workers and proxies of a case. They end with the case. */
  function createOwn() {
    const workers: Worker[] = [];
    const proxies: ReturnType<typeof startProxy>[] = [];
    return {
      start: (...how: Parameters<typeof startWorker>): Worker => {
        const worker = startWorker(...how);
        workers.push(worker);
        return worker;
      },
      before: (...how: Parameters<typeof startProxy>): ReturnType<typeof startProxy> => {
        const proxy = startProxy(...how);
        proxies.push(proxy);
        return proxy;
      },
      end: async (): Promise<void> => {
        for (const { pid } of workers) signalAll(pid, "SIGKILL");
        await Promise.all(workers.map(({ ended }) => ended));
        for (const proxy of proxies) await proxy.stop();
      },
    };
  }

  function examine(title: string, action: (own: ReturnType<typeof createOwn>) => Promise<void>): void {
    test.concurrent(
      title,
      async () => {
        const leave = await places.acquire(FOR_EVER);
        const own = createOwn();
        try {
          await action(own);
        } finally {
          await own.end();
          leave?.();
        }
      },
      CASE_WITHIN_MS,
    );
  }

  describe(title, () => {
    examine("completes tasks and stores their results", async ({ start }) => {
      const type = `count-${++types}`;
      start(type);
      const ids = [await submit(type, { seconds: 0 }), await submit(type, { seconds: 0.2 })];
      for (const id of ids) expect(await becomes(id, isEnded)).toMatchObject({ status: "done", attempt: 1 });
      expect((await look(ids[1] ?? 0)).result).toMatchObject({ counted: 0.2 });
    });

    examine("runs as many tasks at the same time as it has slots", async ({ start }) => {
      const type = `count-${++types}`;
      const ids: number[] = [];
      for (let n = 0; n <= exam.slots; n++) ids.push(await submit(type, { seconds: 60 }));
      start(type);
      const running = (): Promise<Seen[]> =>
        ask<Seen[]>("GET", `task?view=full&type=${type}&status=running&limit=100`);
      await eventually(running, (tasks) => tasks.length === exam.slots);
      await becomes(ids[0] ?? 0, ({ progress }) => progress !== null); // after a heartbeat …
      expect(await running()).toHaveLength(exam.slots); // … there are still no more
    });

    examine("holds a task for longer than its lease, and shows its progress", async ({ start }) => {
      const type = `count-${++types}`;
      start(type);
      const id = await submit(type, { seconds: (2 * LEASE_MS) / 1_000 });
      await becomes(id, ({ progress }) => (progress?.percent ?? 0) > 0);
      expect(await becomes(id, isEnded)).toMatchObject({ status: "done", attempt: 1 });
    });

    examine("fails a task with an invalid payload, with a message", async ({ start }) => {
      const type = `count-${++types}`;
      start(type);
      const id = await submit(type, { seconds: "many" });
      const failed = await becomes(id, isEnded);
      expect(failed.status).toBe("failed");
      expect(failed.error?.message).not.toBe("");
    });

    examine("gets a cancel request with its next heartbeat, and ends the work", async ({ start }) => {
      const type = `count-${++types}`;
      const worker = start(type);
      const id = await submit(type, { seconds: 60 });
      await becomes(id, isRunning);
      await ask("POST", `task/${id}/cancel`);
      expect(await becomes(id, isEnded, LONG_BEFORE_THAT_MS)).toMatchObject({
        status: "cancelled",
        attempt: 1,
      });
      const after = await submit(type, { seconds: 0 });
      await becomes(after, isEnded); // the slot is free
      expect(worker.child.exitCode).toBeNull();
    });

    examine("stops the work on a deleted task", async ({ start }) => {
      const type = `count-${++types}`;
      start(type);
      const ids: number[] = [];
      for (let n = 0; n < exam.slots; n++) ids.push(await submit(type, { seconds: 60 }));
      for (const id of ids) await becomes(id, isRunning);
      await fetch(`${url}/api/task/${ids[0]}`, { method: "DELETE" });
      await becomes(await submit(type, { seconds: 0 }), isEnded);
    });

    examine(
      "killed during a task, it loses the task to another worker, and all its processes end",
      async ({ start }) => {
        const type = `count-${++types}`;
        const first = start(type);
        const id = await submit(type, { seconds: 60 });
        await becomes(id, isRunning);
        process.kill(first.pid, "SIGKILL"); // only this process, not its child processes
        start(type);
        const taken = await becomes(id, isTaken);
        expect(taken.attempts[0]?.outcome).toBe("lost");
        await eventually(
          () => processesOf(first.pid),
          (left) => left.length === 0,
        );
      },
    );

    examine(
      "frozen for longer than its lease, it loses its task to another worker and does not disturb that worker",
      async ({ start }) => {
        const type = `count-${++types}`;
        const first = start(type);
        const id = await submit(type, { seconds: 4 });
        await becomes(id, isRunning);
        await freezeAll(first.pid);
        start(type, url, exam.command, 3 * LEASE_MS); // long, so that its lease does not end on a busy machine
        await becomes(id, isTaken);
        signalAll(first.pid, "SIGCONT");
        const done = await becomes(id, isEnded);
        expect(done).toMatchObject({ status: "done", attempt: 2 });
        expect(JSON.stringify(done.result)).not.toInclude(`-${first.pid}"`);
        expect(done.attempts.map(({ outcome }) => outcome)).toEqual(["lost", "done"]);
      },
    );

    examine(
      `after SIGTERM it ${exam.onStop} its running tasks, claims no more and ends`,
      async ({ start }) => {
        const type = `count-${++types}`;
        const worker = start(type);
        const id = await submit(type, { seconds: exam.onStop === "finishes" ? 2 : 60 });
        await becomes(id, isRunning);
        process.kill(worker.pid, "SIGTERM");
        expect(await worker.ended).toBe(0);
        expect(await look(id)).toMatchObject(
          exam.onStop === "finishes" ? { status: "done", attempt: 1 } : { status: "pending", attempt: 0 },
        );
        // A program that was killed may take a moment to end.
        await eventually(
          () => processesOf(worker.pid),
          (pids) => pids.length === 0,
        );
      },
    );

    examine("after SIGTERM while it waits for tasks, it ends and holds no task", async ({ start }) => {
      const type = `count-${++types}`;
      const worker = start(type);
      await becomes(await submit(type, { seconds: 0 }), isEnded);
      process.kill(worker.pid, "SIGTERM");
      expect(await worker.ended).toBe(0);
      // The server may lease the task to the worker that has just ended, and releases it when it notices the end.
      await becomes(await submit(type, { seconds: 0 }), (task) => !isRunning(task) && task.attempt === 0);
    });

    examine("fails a task whose result cannot be sent, with a message, and continues", async ({ start }) => {
      const type = `result-${++types}`;
      const worker = start(type, url, exam.results.command);
      for (const [kind, expected] of Object.entries(exam.results.kinds)) {
        const id = await submit(type, { kind }, { max_attempts: 1 });
        const task = await becomes(id, isEnded);
        expect({ kind, status: task.status }).toEqual({ kind, status: expected.status });
        if (expected.status === "done") expect(task.result).toEqual(expected.result);
        else {
          expect({ kind, code: task.error?.code }).toEqual({ kind, code: expected.code });
          expect(task.error?.message).not.toBe("");
        }
        expect({ kind, lost: task.attempts.length }).toEqual({ kind, lost: 1 });
      }
      process.kill(worker.pid, "SIGTERM");
      expect(await worker.ended).toBe(0);
    });

    examine("keeps every digit of whole numbers from the payload to the result", async ({ start }) => {
      const type = `result-${++types}`;
      start(type, url, exam.results.command);
      const payload =
        '{"kind":"echo","id":3889108265204450030,"10":[-12345678901234567890,{"payload":[],"s":"\\",\\"payload\\":7"}]}';
      const answer = await fetch(`${url}/api/task`, {
        method: "POST",
        body: `{"name":"payload","type":"${type}","tags":["payload"],"max_attempts":1,"payload":${payload}}`,
      });
      const { task_id: id } = (await answer.json()) as { readonly task_id: number }; // in the form that the API documents
      expect(await becomes(id, isEnded)).toMatchObject({ status: "done" });
      const text = await (await fetch(`${url}/api/task/${id}`)).text();
      expect(compacted(valueAt(text, ["result"]) ?? "")).toBe(payload);
    });

    examine("after SIGTERM while a proxy delays its claim, it holds no task", async ({ start, before }) => {
      const type = `count-${++types}`;
      const { promise: delivery, resolve: deliver } = Promise.withResolvers<void>();
      let claims = 0;
      const proxy = before(async (path) => {
        if (path.endsWith("/claim") && ++claims === 2) await delivery;
        return null;
      });
      const worker = start(type, proxy.url);
      await becomes(await submit(type, { seconds: 0 }), isEnded);
      await eventually(
        () => claims,
        (count) => count >= 2,
      );
      process.kill(worker.pid, "SIGTERM");
      expect(await worker.ended).toBe(0);
      const id = await submit(type, { seconds: 0 });
      deliver();
      await eventually(
        () => proxy.answered("/claim"),
        (count) => count === claims,
      );
      expect(await look(id)).toMatchObject({ status: "pending", attempt: 0, attempts: [] });
    });

    describe("that cannot report its outcome", () => {
      examine(
        "repeats the outcome while the server is away, until it is stored",
        async ({ start, before }) => {
          const type = `count-${++types}`;
          let away = 2;
          const proxy = before((path) =>
            path.endsWith("/complete") && away-- > 0 ? new Response("no server", { status: 502 }) : null,
          );
          start(type, proxy.url);
          const id = await submit(type, { seconds: 0 });
          expect(await becomes(id, isEnded)).toMatchObject({ status: "done", attempt: 1 });
          expect(proxy.count("/complete")).toBe(3);
        },
      );

      examine("fails the task when its result is refused, and continues", async ({ start, before }) => {
        const type = `count-${++types}`;
        const proxy = before((path) =>
          path.endsWith("/complete") ? new Response("<html>too much</html>", { status: 413 }) : null,
        );
        const worker = start(type, proxy.url);
        const ids = [await submit(type, { seconds: 0 }), await submit(type, { seconds: 0 })];
        for (const id of ids) {
          const failed = await becomes(id, isEnded);
          expect(failed).toMatchObject({ status: "failed", attempt: 1, error: { code: "result_refused" } });
          expect(failed.error?.message).toInclude("too much");
        }
        expect(proxy.count("/complete")).toBe(2);
        process.kill(worker.pid, "SIGTERM");
        expect(await worker.ended).toBe(0);
      });

      examine(
        "drops the outcome when everything is refused, and continues with the next task",
        async ({ start, before }) => {
          const type = `count-${++types}`;
          const refused = new Set<string>();
          const proxy = before((path) => {
            if (!path.startsWith("/api/task/")) return null;
            refused.add(path);
            return new Response("<html>not here</html>", { status: 404 });
          });
          const worker = start(type, proxy.url);
          await submit(type, { seconds: 0 });
          await submit(type, { seconds: 0 });
          await eventually(
            () => [...refused].filter((path) => path.endsWith("/fail")),
            (paths) => paths.length >= 2,
          );
          process.kill(worker.pid, "SIGTERM");
          expect(await worker.ended).toBe(0);
        },
      );

      examine("ends after SIGTERM although no server answers", async ({ start, before }) => {
        const type = `count-${++types}`;
        const proxy = before((path) =>
          path.endsWith("/complete") ? new Response("no server", { status: 503 }) : null,
        );
        const worker = start(type, proxy.url);
        await submit(type, { seconds: 0 });
        await eventually(
          () => proxy.count("/complete"),
          (count) => count > 0,
        );
        process.kill(worker.pid, "SIGTERM");
        expect(await worker.ended).toBe(0);
      });

      examine(
        "drops the outcome when the lease cannot be renewed, and claims the next task",
        async ({ start, before }) => {
          const type = `count-${++types}`;
          const reported = new Set<string>();
          const proxy = before((path) => {
            if (path.endsWith("/complete")) reported.add(path);
            const isAway = path.endsWith("/complete") || path.endsWith("/heartbeat");
            return isAway ? new Response("no server", { status: 503 }) : null;
          });
          start(type, proxy.url);
          for (let n = 0; n < exam.slots; n++) await submit(type, { seconds: 0 });
          await eventually(
            () => reported.size,
            (size) => size === exam.slots,
          );
          const claims = proxy.count("/claim"); // all slots are in use at this moment
          await eventually(
            () => proxy.count("/claim"),
            (count) => count > claims,
          );
        },
      );
    });

    examine("that is drained finishes its running tasks, claims no more and ends", async ({ start }) => {
      const type = `count-${++types}`;
      const worker = start(type, url, exam.command, 3 * LEASE_MS); // long, so that its lease does not end on a busy machine
      const id = await submit(type, { seconds: 1.5 });
      await becomes(id, isRunning);
      await ask("POST", `worker/${hostname()}-${worker.pid}/drain`);
      expect(await worker.ended).toBe(0);
      expect((await look(id)).status).toBe("done");
    });
  });
}
