/** A worker of one's own: the server's own processor, drinking its tasks over HTTP. */
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
   * Ends by force what handlers still do three seconds after `stop` has aborted them; only who runs them in processes of their own
   * can do that.
   */
  readonly kill?: (() => void) | undefined;
  /** How many tasks are worked on at once; 10 unless given. */
  readonly concurrency?: number | undefined;
  /** Names it in leases, history and statistics; a name that comes once unless given. */
  readonly name?: string | undefined;
  /**
   * How long a task stays this worker's without a heartbeat, from "1s" up; "30s" unless given. When a worker dies, another begins
   * its tasks anew after that long.
   */
  readonly lease?: string | undefined;
  /** What goes wrong is told here; unless given, a JSON line each to the console. */
  readonly log?: Log | undefined;
};

export interface Worker {
  readonly name: string;
  /** Tasks that it is working on. */
  readonly running: number;
  /** Begins to ask for tasks; once. */
  start(): void;
  /** Asks anew, with the types that `handlers` has now. */
  refresh(): void;
  /**
   * Asks for no more, lets running work finish for `graceMs` milliseconds (25,000 unless given), then aborts it and gives it back,
   * which burns no attempt. Resolves with the number of handlers that would not end: their leases run out by themselves. Safe
   * twice.
   */
  stop(graceMs?: number): Promise<number>;
  /** Resolves as `stop` does when it has stopped, whoever asked for it: the server may, by a drain. */
  readonly stopped: Promise<number>;
}

const CONCURRENCY = 10;
const LEASE_MS = 30_000;
const SHORTEST_LEASE_MS = 1_000;
const GRACE_MS = 25_000;
/** Who is drained finishes what it has. */
const DRAIN_GRACE_MS = 30 * 24 * 3_600_000;

/**
 * A worker that asks the server for tasks of these types, works on them and says how they went. Tasks that it holds are its own
 * as long as it lives and reaches the server; when a lease is lost, the handler's signal aborts and its outcome goes nowhere.
 * Throws TypeError for options that make no sense.
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
  let tellStopped: (left: number) => void = () => undefined;
  const stopped = new Promise<number>((resolve) => {
    tellStopped = resolve;
  });
  let isTold = false;

  const source = createHttpSource({
    ...{ calls, worker: name, leaseMs, clock, log, onDirective },
    nonce: systemChance.nonce,
  });
  const processor = createProcessor({
    ...{ source, handlers, worker: name, concurrency, leaseMs, clock, log },
    ...(options.kill === undefined ? {} : { kill: options.kill }),
  });

  function onDirective(directive: Exclude<Directive, "run">): void {
    if (isTold) return;
    isTold = true;
    log.info("told_to_stop", { directive, running: processor.running });
    void stop(directive === "drain" ? DRAIN_GRACE_MS : GRACE_MS);
  }

  /** A shorter grace than that of an earlier call counts. */
  async function stop(graceMs = GRACE_MS): Promise<number> {
    source.leave();
    const left = await processor.stop(graceMs);
    await source.close();
    tellStopped(left);
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
