/** A worker of the SDK: the processor of the server, with tasks over HTTP. */
import { formatDurationMs, parseDurationMs } from "../core/duration.ts";
import { LIMITS } from "../core/task.ts";
import { createLog, type Log } from "../lib/log.ts";
import { systemChance } from "../lib/system-chance.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Handler } from "../processor/handler.ts";
import { createProcessor } from "../processor/processor.ts";
import { type ClientOptions, createApi } from "./api.ts";
import { createHttpSource } from "./source/source.ts";
import { createWorkCalls, type Directive } from "./work.ts";

export type WorkerOptions = ClientOptions & {
  /** The server's address, such as "http://localhost:8080". */
  readonly url: string;
  /** The handlers, by type, for up to 100 types. A Map may change while the worker runs: see `refresh`. */
  readonly handlers: Readonly<Record<string, Handler>> | ReadonlyMap<string, Handler>;
  /**
   * Ends by force the handlers that still run three seconds after `stop` has aborted them. This is possible only if
   * the handlers run in separate processes.
   */
  readonly kill?: (() => void) | undefined;
  /** The number of tasks that run at the same time; default 10. */
  readonly concurrency?: number | undefined;
  /** The name of the worker in leases, history and statistics; default a unique name. */
  readonly name?: string | undefined;
  /**
   * How long a task stays with this worker without a heartbeat, from "1s" up; default "30s". If a worker
   * dies, another one runs its tasks again after this time.
   */
  readonly lease?: string | undefined;
  /** Gets warnings and errors. By default each is a line of JSON on the console. */
  readonly log?: Log | undefined;
};

export interface Worker {
  readonly name: string;
  /** The number of running tasks. */
  readonly running: number;
  /** Starts to claim tasks. May be called once only. */
  start(): void;
  /** Claims again at once, with the types that `handlers` has now. */
  refresh(): void;
  /**
   * Claims no more, lets running tasks finish for `graceMs` milliseconds (default 25,000), then aborts them
   * and releases them without counting an attempt. Resolves with the number of handlers that did not end:
   * their leases run out. May be called twice.
   */
  stop(graceMs?: number): Promise<number>;
  /** Resolves like `stop` when the worker has stopped, even if the server stopped it by a drain. */
  readonly stopped: Promise<number>;
}

const CONCURRENCY = 10;
const LEASE_MS = 30_000;
const SHORTEST_LEASE_MS = 1_000;
const GRACE_MS = 25_000;
/** A drained worker finishes its tasks. */
const DRAIN_GRACE_MS = 30 * 24 * 3_600_000;

/**
 * A worker that claims tasks of these types from the server, runs them and reports their outcomes. It holds a task as long as it runs
 * and reaches the server. When a lease is lost, the signal of the handler aborts and the outcome is dropped.
 * Throws TypeError for invalid options.
 * @example
 * const worker = createWorker({
 *   url: "http://localhost:8080",
 *   handlers: {
 *     "image.resize": async (task, { signal, progress }) => {
 *       progress(10, "reading");
 *       return { width: await resize(task.payload, signal) };
 *     },
 *   },
 * });
 * worker.start();
 * process.on("SIGTERM", () => worker.stop());
 */
export function createWorker(options: WorkerOptions): Worker {
  const clock = systemClock;
  const name = options.name ?? `worker-${systemChance.nonce().slice(0, 8)}`;
  const leaseMs = leaseOf(options.lease);
  const concurrency = concurrencyOf(options.concurrency);
  const handlers = handlersOf(options.handlers);
  const log = options.log ?? consoleLog;
  const api = createApi({ url: options.url, options, clock, random: systemChance.random });
  const calls = createWorkCalls(api);
  let resolveStopped: (left: number) => void = () => undefined;
  const stopped = new Promise<number>((resolve) => {
    resolveStopped = resolve;
  });
  let isStopping = false;

  const source = createHttpSource({
    ...{ calls, worker: name, leaseMs, clock, log, onDirective },
    nonce: systemChance.nonce,
  });
  const processor = createProcessor({
    ...{ source, handlers, worker: name, concurrency, leaseMs, clock, log },
    ...(options.kill === undefined ? {} : { kill: options.kill }),
  });

  function onDirective(directive: Exclude<Directive, "run">): void {
    if (isStopping) return;
    isStopping = true;
    log.info("told_to_stop", { directive, running: processor.running });
    void stop(directive === "drain" ? DRAIN_GRACE_MS : GRACE_MS);
  }

  /** If it is called again, the shorter grace counts. */
  async function stop(graceMs = GRACE_MS): Promise<number> {
    source.leave();
    const left = await processor.stop(graceMs);
    await source.close();
    resolveStopped(left);
    return left;
  }

  return {
    name,
    get running() {
      return processor.running;
    },
    start: processor.start,
    refresh: () => {
      source.askFor([...handlers.keys()]);
      processor.refresh();
    },
    stop,
    stopped,
  };
}

function leaseOf(text = formatDurationMs(LEASE_MS)): number {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= SHORTEST_LEASE_MS) return ms;
  throw new TypeError(`lease: expected a duration such as "30s", at least "1s", got ${JSON.stringify(text)}`);
}

function concurrencyOf(value = CONCURRENCY): number {
  if (Number.isInteger(value) && value >= 1) return value;
  throw new TypeError(`concurrency: expected a whole number from 1 up, got ${value}`);
}

function handlersOf(handlers: WorkerOptions["handlers"]): ReadonlyMap<string, Handler> {
  const byType = handlers instanceof Map ? handlers : new Map(Object.entries(handlers));
  if (byType.size === 0) throw new TypeError("handlers: expected at least one type with its handler");
  if (byType.size <= LIMITS.claimTypes) return byType;
  throw new TypeError(
    `handlers: expected at most ${LIMITS.claimTypes} types, got ${byType.size}; start another worker for the rest`,
  );
}

const consoleLog: Log = createLog({
  level: "warn",
  pretty: false,
  now: systemClock.now,
  write: (line) => console.error(line.trimEnd()),
});
