/**
 * The worker protocol before a real engine and a real memory store: as much of it as workers use, for tests of workers. `leaseMs`
 * is what a claim asks for; nothing here decides about tasks.
 */
import { formatDurationMs, parseDurationMs } from "../../src/core/duration.ts";
import { isTaskError } from "../../src/core/error.ts";
import type { Outcome } from "../../src/core/outcome.ts";
import type { RunningTask } from "../../src/core/task.ts";
import { createEngine, type Engine } from "../../src/engine/engine.ts";
import { systemClock } from "../../src/lib/system-clock.ts";
import { createStoreQueue } from "../../src/queue/store.ts";
import { createMemoryStore } from "../../src/store/memory.ts";
import { createTestLog } from "./engine.ts";

type Json = Readonly<Record<string, unknown>>;
type Said = { readonly id: number; readonly token: string; readonly result?: unknown };
type ClaimWish = {
  readonly worker: string;
  readonly types: string[];
  readonly max: number;
  readonly lease: string;
  readonly wait: string;
};

export interface WorkDoor {
  readonly url: string;
  readonly engine: Engine;
  /** Who is told to finish and ask no more. */
  readonly draining: Set<string>;
  /** Paths that were asked for, in order. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

export async function openWorkDoor(): Promise<WorkDoor> {
  const clock = systemClock;
  const store = createMemoryStore({ clock, epoch: "work" });
  const engine = createEngine({
    ...{ store, queue: createStoreQueue(store), clock, log: createTestLog() },
    random: () => 0,
    nonce: () => crypto.randomUUID(),
    types: new Map(),
    pollMs: 100,
    leaseMs: 1_000,
    retentions: [],
  });
  await engine.start();
  const draining = new Set<string>();
  const asked: string[] = [];
  const directive = (worker: unknown) => (draining.has(String(worker)) ? "drain" : "run");

  async function claimed(wish: ClaimWish, left: AbortSignal): Promise<Json[]> {
    const leaseMs = parseDurationMs(wish.lease) ?? 0;
    const signal = AbortSignal.any([left, AbortSignal.timeout(parseDurationMs(wish.wait) ?? 0)]);
    // A wish that does not wait is given one look.
    const { tasks } = await engine.claim(
      { ...wish, leaseMs },
      wish.wait === "0s" ? AbortSignal.timeout(5) : signal,
    );
    return tasks.map(present);
  }

  async function settled(id: number, token: string, outcome: Outcome): Promise<"ok" | "lease_lost"> {
    try {
      await engine.settle(id, token, outcome);
      return "ok";
    } catch (error) {
      if (isTaskError(error, "lease_lost")) return "lease_lost";
      throw error;
    }
  }

  const one = async (id: number, token: string, outcome: Outcome): Promise<Response> =>
    (await settled(id, token, outcome)) === "ok"
      ? Response.json({ message: "ok" })
      : Response.json({ error: "The lease has ended", code: "lease_lost" }, { status: 409 });

  async function created(
    specs: readonly { readonly name: string; readonly type: string }[],
  ): Promise<Response> {
    const { tasks } = await engine.create(specs);
    return Response.json({ task_ids: tasks.map(({ id }) => id) }, { status: 201 });
  }

  async function removed(id: number): Promise<Response> {
    await engine.remove(id);
    return new Response(null, { status: 204 });
  }

  const done = ({ result }: Said): Outcome => ({ kind: "done", result: JSON.stringify(result ?? null) });

  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch: async (request) => {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      const body = JSON.parse((await request.text()) || "null"); // what a worker under test says
      const [, , part, name = "", verb = ""] = pathname.split("/"); // /api/worker/VERB, /api/task/ID/VERB
      switch (part === "worker" ? name : verb) {
        case "claim":
          return Response.json({
            tasks: await claimed(body, request.signal),
            directive: directive(body.worker),
          });
        case "heartbeat": {
          const beats = body.leases.map((lease: Json) => ({
            ...{ id: lease.id, token: lease.token, progress: lease.progress ?? null },
            log: ((lease.log ?? []) as string[]).map((message) => ({ level: "info", message })),
          }));
          const answers = await engine.extend(beats);
          const leases = beats.map(({ id }: Said, at: number) => ({ id, status: answers[at] }));
          return Response.json({ directive: directive(body.worker), leases });
        }
        case "complete": {
          if (part === "task") return one(Number(name), body.token, done(body));
          const tasks = await Promise.all(
            body.tasks.map(async (said: Said) => ({
              id: said.id,
              status: await settled(said.id, said.token, done(said)),
            })),
          );
          const next = body.claim === undefined ? {} : { claimed: await claimed(body.claim, request.signal) };
          return Response.json({ tasks, ...next });
        }
        case "fail": {
          const retryAfterMs = body.retry_after === undefined ? null : parseDurationMs(body.retry_after);
          const { error, retryable = true } = body;
          return one(Number(name), body.token, { kind: "failed", error, retryable, retryAfterMs });
        }
        case "release":
          return one(Number(name), body.token, {
            kind: "released",
            delayMs: parseDurationMs(body.delay ?? "0s") ?? 0,
          });
        case "":
          return request.method === "DELETE" ? removed(Number(name)) : created(body);
        default:
          return Response.json({ error: "There is nothing here", code: "unknown_route" }, { status: 404 });
      }
    },
  });

  return {
    url: `http://127.0.0.1:${server.port}`,
    ...{ engine, draining, asked },
    close: async () => {
      await server.stop(true);
      await engine.close();
    },
  };
}

const present = (task: RunningTask): Json => ({
  ...{ id: task.id, name: task.name, description: task.description, type: task.type, version: task.version },
  ...{ tags: task.tags, attempt: task.attempt, status: task.status },
  payload: task.payload === null ? null : JSON.parse(task.payload),
  timeout: task.timeoutMs === null ? null : formatDurationMs(task.timeoutMs),
  lease: { token: task.token, expires_in: formatDurationMs(task.lease.leaseMs) },
});
