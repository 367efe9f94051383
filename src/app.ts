/** The wiring, all of it: config in, a running server out; stopped in reverse order. */
import type { Flow } from "./broker/broker.ts";
import { openFlow } from "./broker/open.ts";
import { createSubmitter } from "./broker/submitter.ts";
import { type Config, isSharedStore, withoutPassword } from "./config.ts";
import type { BrokerHealth } from "./core/broker.ts";
import type { Clock } from "./core/clock.ts";
import { isTaskError } from "./core/error.ts";
import { DEFAULT_TYPE, TYPE_DEFAULTS, type TypeDefaults } from "./core/lifecycle.ts";
import { createEngine, type Engine } from "./engine/engine.ts";
import { createEventPublisher } from "./engine/event-publisher.ts";
import { createOwnSource } from "./engine/own-source.ts";
import { createSimulate } from "./handlers/simulate.ts";
import { createHttp } from "./http/http.ts";
import { errorText, type Log } from "./lib/log.ts";
import { within } from "./lib/waiting.ts";
import type { Handler } from "./processor/handler.ts";
import { createPool, type Pool, type SpawnHandlers } from "./processor/pool.ts";
import { createProcessor, type Processor } from "./processor/processor.ts";
import { openStore } from "./store/open.ts";
import { createUiFiles } from "./ui/open.ts";
import { VERSION } from "./version.ts";
import { createBrokerQueue } from "./wakeup/combined.ts";
import { createStoreQueue } from "./wakeup/store-wake-ups.ts";

export interface App {
  readonly engine: Engine;
  readonly processor: Processor | null;
  /** Loads the module of handlers anew, where there is one; what runs goes on to its end with the old one. */
  reloadHandlers(): Promise<void>;
  /** Opens the doors; throws where it cannot listen, or where the module of handlers cannot be loaded. */
  start(): Promise<{ readonly url: string }>;
  /**
   * Lets running work finish within the grace, gives the rest back, answers what was asked and closes; safe twice. Resolves
   * with how many handlers did not end.
   */
  stop(): Promise<number>;
}

/** What the outside world brings; tests bring their own. */
export type Effects = {
  readonly clock: Clock;
  /** Draws from [0, 1). */
  readonly random: () => number;
  /** A short random text; that two processes draw the same at a time is as good as impossible, over years it is not. */
  readonly nonce: () => string;
  /** Names this process in leases and history. */
  readonly worker: string;
  readonly log: Log;
  /** Starts the processes that run the module of HANDLERS; null without one. */
  readonly handlers: { readonly spawn: SpawnHandlers; readonly processes: number } | null;
};

/** Requests that are still under way after everything else has ended get this long. */
const ANSWER_WITHIN_MS = 2_000;
/** Events that are not out yet get this long at the end; what is left, the next process on the store publishes. */
const PUBLISH_WITHIN_MS = 2_000;
const BROKER_CLOSES_WITHIN_MS = 2_000;
/** A store that takes longer to say its time gets no traffic, and a broker that takes longer is away. */
const ANSWERS_A_PROBE_WITHIN_MS = 1_000;
const NO_ANSWER = "The store does not answer";
/** With DISPATCH_INTERVAL=0s nothing waits for the poll, which is then only the net under the doorbell. */
const SLOWEST_POLL_MS = 1_000;

/** Opens the store and wires everything to it; nothing has begun yet. Rejects as `openStore` does. */
export async function createApp(config: Config, effects: Effects): Promise<App> {
  const { clock, log, random, nonce, worker } = effects;
  const { storeUrl: url, allowVolatileRedis } = config;
  const store = await openStore({ url, clock, log, random, nonce, worker, allowVolatileRedis });
  const queue = createStoreQueue(store);
  const flow = await openFlow(config.queueUrl, { clock, log });
  // Where one process has the store to itself, nobody else is to be woken.
  const ownQueue = flow !== null && isSharedStore(url) ? createBrokerQueue(flow.bells, queue) : queue;

  const types = new Map<string, TypeDefaults>();
  const engine = createEngine({
    store,
    queue,
    ownQueue,
    clock,
    log,
    random,
    nonce,
    types,
    pollMs: config.dispatchIntervalMs || SLOWEST_POLL_MS,
    retentions: [
      { statuses: ["done"], keepMs: config.retentionDoneMs },
      { statuses: ["failed", "cancelled"], keepMs: config.retentionFailedMs },
    ],
  });

  const simulate = createSimulate({
    minMs: config.simulateMinMs,
    maxMs: config.simulateMaxMs,
    failureRate: config.simulateFailureRate,
    clock,
    random,
  });

  const handlers = new Map<string, Handler>();
  const pool =
    effects.handlers === null ? null : createPool({ ...effects.handlers, onTypes: takeOn, clock, log });

  /** The server's own type, and those of the module. */
  function takeOn(ofModule: ReadonlyMap<string, TypeDefaults>): void {
    const before = [...handlers.keys()].join();
    types.clear();
    handlers.clear();
    types.set(DEFAULT_TYPE, { ...TYPE_DEFAULTS, delayMs: config.dispatchIntervalMs, maxAttempts: 1 });
    handlers.set(DEFAULT_TYPE, simulate);
    for (const [type, defaults] of ofModule) {
      types.set(type, defaults);
      if (pool !== null) handlers.set(type, pool.handler);
    }
    if (before !== "" && before !== [...handlers.keys()].join()) processor?.refresh();
  }

  const processor =
    config.role === "api"
      ? null
      : createProcessor({
          source: createOwnSource(engine, clock),
          handlers,
          ...(pool === null ? {} : { kill: pool.kill }),
          worker,
          concurrency: config.workerConcurrency,
          leaseMs: config.leaseMs,
          clock,
          log,
        });
  takeOn(new Map());

  const requestId = createRequestIds(nonce());
  const submitter = createSubmitter({ engine, clock, log, nonce, requestId });
  const publisher =
    flow === null || config.events === "off"
      ? null
      : createEventPublisher({
          ...{ engine, store, outlet: flow.outlet, clock, log },
          holder: nonce(),
          leaseMs: config.leaseMs,
        });

  let draining = false;
  const http = createHttp({
    engine,
    leaseMs: config.leaseMs,
    hasApi: config.role !== "worker",
    hostname: config.httpHost,
    port: config.httpPort,
    sharesPort: config.processes > 1,
    allowedHosts: config.allowedHosts,
    version: VERSION,
    clock,
    log,
    notReadyBecause,
    durability: store.durability,
    broker: flow === null ? null : () => healthOf(flow),
    requestId,
    uiFiles: createUiFiles(),
  });

  async function notReadyBecause(): Promise<string | null> {
    if (draining) return "The server is shutting down";
    const reason = store.now().then(
      () => null,
      (error: unknown) => (isTaskError(error) ? error.message : NO_ANSWER),
    );
    return within(clock, ANSWERS_A_PROBE_WITHIN_MS, reason, NO_ANSWER);
  }

  async function healthOf({ broker, state }: Flow): Promise<BrokerHealth> {
    return { name: broker, state: await within(clock, ANSWERS_A_PROBE_WITHIN_MS, state(), "away") };
  }

  async function start(): Promise<{ readonly url: string }> {
    await startHandlers(pool);
    await engine.start();
    await publisher?.start(); // before anything can happen that is to be published
    const { hostname, port } = http.start();
    if (config.role !== "worker") flow?.inlet.consume(submitter.submit);
    processor?.start();
    const address = `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
    log.info("listening", { url: address, version: VERSION, store: withoutPassword(url), role: config.role });
    if (!isLoopback(config.httpHost)) {
      log.warn("open_to_the_network", {
        host: config.httpHost,
        message:
          "Anybody who reaches this address may submit, read and delete tasks; HTTP_HOST=127.0.0.1 keeps it here",
      });
    }
    return { url: address };
  }

  /** Who works on nothing itself needs the module only for what its types do with what a client leaves open. */
  async function startHandlers(started: Pool | null): Promise<void> {
    if (started === null) return;
    await started.start();
    if (processor === null) started.kill();
  }

  /** What is in hand is created and acknowledged, what waits for the store goes back to the broker. */
  async function endSubmissions(): Promise<void> {
    if (flow === null) return;
    const ended = flow.inlet.close();
    submitter.close();
    await brokerCloses(ended);
  }

  /** The stop does not wait longer for a broker that does not answer: what it has not acknowledged is delivered again. */
  function brokerCloses(closed: Promise<void>): Promise<void> {
    const logged = closed.catch((error: unknown) =>
      log.debug("broker_close_failed", { error: errorText(error) }),
    );
    return within(clock, BROKER_CLOSES_WITHIN_MS, logged, undefined);
  }

  let stopping: Promise<number> | null = null;

  async function shutDown(): Promise<number> {
    draining = true;
    http.drain();
    engine.releaseWaits();
    const submissionsEnded = endSubmissions();
    log.info("stopping", { running: processor?.running ?? 0, grace_ms: config.shutdownGraceMs });
    const left = (await processor?.stop(config.shutdownGraceMs)) ?? 0;
    pool?.kill();
    await http.stop(ANSWER_WITHIN_MS);
    await submissionsEnded;
    await publisher?.stop(PUBLISH_WITHIN_MS);
    await engine.close();
    if (flow !== null) await brokerCloses(flow.close());
    await queue.close();
    await store.close();
    log.info("stopped", { handlers_left: left });
    return left;
  }

  return {
    engine,
    processor,
    reloadHandlers: async () => pool?.reload(),
    start,
    stop: () => {
      stopping ??= shutDown();
      return stopping;
    },
  };
}

/** Cheap and in order, told apart between processes by the prefix. */
function createRequestIds(prefix: string): () => string {
  let count = 0;
  return () => `${prefix}-${++count}`;
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host.startsWith("127.");
