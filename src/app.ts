/** Creates a server from its configuration. All parts that run in the background are in one list of services. */
import type { Broker } from "./broker/broker.ts";
import { openBroker } from "./broker/open.ts";
import { createSubmitter, type Submitter } from "./broker/submitter.ts";
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
import { type Service, startServices, stopServices } from "./lib/service.ts";
import { within } from "./lib/waiting.ts";
import type { Handler } from "./processor/handler.ts";
import {
  createHandlerProcesses,
  type HandlerProcesses,
} from "./processor/handler-processes/handler-processes.ts";
import type { SpawnHandlers } from "./processor/handler-processes/process.ts";
import { createProcessor, type Processor } from "./processor/processor.ts";
import { openStore } from "./store/open.ts";
import type { TaskStore } from "./store/store.ts";
import { createUiFiles } from "./ui/open.ts";
import { VERSION } from "./version.ts";
import { createCombinedWakeUps } from "./wakeup/combined.ts";
import { createStoreWakeUps } from "./wakeup/store-wake-ups.ts";

export interface App {
  readonly engine: Engine;
  readonly processor: Processor | null;
  /** Loads the module of handlers again, if there is one; running tasks continue with the old one. */
  reloadHandlers(): Promise<void>;
  /** Starts all services. Rejects if the port cannot be opened, or the module of handlers cannot be loaded. */
  start(): Promise<{ readonly url: string }>;
  /**
   * Lets running work end within the grace, releases the rest, answers the requests under way and stops all services. May be
   * called twice. Resolves with the number of handlers that did not end.
   */
  stop(): Promise<number>;
}

/** The effects on the outside world; tests pass their own. */
export type Effects = {
  readonly clock: Clock;
  /** A random number from [0, 1). */
  readonly random: () => number;
  /** A short random text. Two processes almost never get the same text at the same time; over years they may. */
  readonly nonce: () => string;
  /** Names this process in leases and history. */
  readonly worker: string;
  readonly log: Log;
  /** Starts the processes that run the module of HANDLERS; null without one. */
  readonly handlers: { readonly spawn: SpawnHandlers; readonly processes: number } | null;
};

/** For each service: a shutdown does not wait longer for requests under way, for events to publish, or for a broker. */
const STOP_WITHIN_MS = 2_000;
/** A store that takes longer to answer a probe gets no traffic, and a broker that takes longer counts as away. */
const ANSWERS_A_PROBE_WITHIN_MS = 1_000;
const NO_ANSWER = "The store does not answer";
/** With DISPATCH_INTERVAL=0s claims rely on wake-ups, and this poll finds the tasks of a lost wake-up. */
const SLOWEST_POLL_MS = 1_000;

/** Opens the store and creates all parts; starts nothing. Rejects as `openStore` does. */
export async function createApp(config: Config, effects: Effects): Promise<App> {
  const { clock, log, random, nonce, worker } = effects;
  const { storeUrl: url, allowVolatileRedis, leaseMs, role } = config;
  const store = await openStore({ url, clock, log, random, nonce, worker, allowVolatileRedis });
  const storeWakeUps = createStoreWakeUps(store, {
    timers: clock,
    peers: () => ({ own: engine.processes.name, processes: engine.processes.known() }),
  });
  const broker = await openBroker(config.queueUrl, { clock, log });
  // A store that belongs to one process alone has no other processes to wake.
  const ownWakeUps =
    broker !== null && isSharedStore(url)
      ? createCombinedWakeUps(broker.wakeUps, storeWakeUps)
      : storeWakeUps;
  const table = createHandlerTable(config, createSimulate({ ...simulation(config), clock, random }));
  const engine = createEngine({
    ...{ store, wakeUps: storeWakeUps, ownWakeUps, clock, log, random, nonce, types: table.types },
    pollMs: config.dispatchIntervalMs || SLOWEST_POLL_MS,
    retentions: [
      { statuses: ["done"], keepMs: config.retentionDoneMs },
      { statuses: ["failed", "cancelled"], keepMs: config.retentionFailedMs },
    ],
  });
  const processes =
    effects.handlers === null
      ? null
      : createHandlerProcesses({
          ...{ ...effects.handlers, clock, log },
          onTypes: (types) => {
            if (table.load(types, processes?.handler)) processor?.refresh();
          },
        });
  const processor =
    role === "api"
      ? null
      : createProcessor({
          ...{ source: createOwnSource(engine, clock), handlers: table.handlers },
          ...{ worker, leaseMs, clock, log },
          ...(processes === null ? {} : { kill: processes.kill }),
          concurrency: config.workerConcurrency,
        });
  const requestId = createRequestIds(nonce());
  const submitter = createSubmitter({ engine, clock, log, nonce, requestId });
  let isStopping = false;
  let handlersLeft = 0;
  let listening = { hostname: config.httpHost, port: config.httpPort };
  const http = createHttp({
    ...{ engine, leaseMs, clock, log, requestId, version: VERSION, uiFiles: createUiFiles() },
    hasApi: role !== "worker",
    hostname: config.httpHost,
    port: config.httpPort,
    sharesPort: config.processes > 1,
    allowedHosts: config.allowedHosts,
    notReadyBecause: async () =>
      isStopping ? "The server is shutting down" : whyStoreIsNotReady(store, clock),
    durability: store.durability,
    broker: broker === null ? null : () => healthOf(broker, clock),
  });

  /** Started in this order, and stopped in reverse. */
  const services: readonly Service[] = [
    closing("store", store.close),
    closing("store's wake-ups", storeWakeUps.close),
    broker && closing("broker", (withinMs) => closeBroker(broker.close(), withinMs, effects)),
    processes && handlerProcesses(processes, processor !== null),
    ...engine.services,
    broker &&
      config.events !== "off" &&
      createEventPublisher({
        ...{ engine, store, output: broker.eventOutput, holder: nonce(), leaseMs, clock, log },
      }),
    {
      name: "http",
      start: () => {
        listening = http.start();
      },
      drain: http.drain,
      stop: http.stop,
    },
    broker && role !== "worker" && submissionsService(broker.submissions, submitter, effects),
    processor && {
      name: "processor",
      start: processor.start,
      stop: async () => {
        handlersLeft = await processor.stop(config.shutdownGraceMs);
        processes?.kill();
      },
    },
  ].filter((service) => typeof service === "object" && service !== null);

  async function start(): Promise<{ readonly url: string }> {
    await startServices(services);
    const address = urlOf(listening);
    log.info("listening", { url: address, version: VERSION, store: withoutPassword(url), role });
    if (!isLoopback(config.httpHost)) warnOfOpenPort(config, log);
    return { url: address };
  }

  async function shutDown(): Promise<number> {
    isStopping = true;
    log.info("stopping", { running: processor?.running ?? 0, grace_ms: config.shutdownGraceMs });
    await stopServices(services, STOP_WITHIN_MS);
    log.info("stopped", { handlers_left: handlersLeft });
    return handlersLeft;
  }

  let stopped: Promise<number> | null = null;
  return {
    engine,
    processor,
    reloadHandlers: async () => processes?.reload(),
    start,
    stop: () => {
      stopped ??= shutDown();
      return stopped;
    },
  };
}

/** The handlers of this process, and the defaults of their types: the server's own type, and those of the module. */
function createHandlerTable({ dispatchIntervalMs }: Config, simulate: Handler) {
  const types = new Map<string, TypeDefaults>();
  const handlers = new Map<string, Handler>();

  /** Replaces the types of the module; returns whether there are other types now. */
  function load(ofModule: ReadonlyMap<string, TypeDefaults>, handler?: Handler): boolean {
    const before = [...handlers.keys()].join();
    types.clear();
    handlers.clear();
    types.set(DEFAULT_TYPE, { ...TYPE_DEFAULTS, delayMs: dispatchIntervalMs, maxAttempts: 1 });
    handlers.set(DEFAULT_TYPE, simulate);
    for (const [type, defaults] of ofModule) {
      types.set(type, defaults);
      if (handler !== undefined) handlers.set(type, handler);
    }
    return before !== [...handlers.keys()].join();
  }

  load(new Map());
  return { types, handlers, load };
}

const simulation = ({ simulateMinMs, simulateMaxMs, simulateFailureRate }: Config) => ({
  minMs: simulateMinMs,
  maxMs: simulateMaxMs,
  failureRate: simulateFailureRate,
});

// ---- services

/** A service that is open already and needs no start. */
const closing = (name: string, close: (withinMs: number) => Promise<void>): Service => ({
  name,
  start: () => undefined,
  stop: close,
});

/** A process that runs no tasks needs the module only for the defaults of its types. */
const handlerProcesses = (processes: HandlerProcesses, runsTasks: boolean): Service => ({
  name: "handler processes",
  start: async () => {
    await processes.start();
    if (!runsTasks) processes.kill();
  },
  stop: async () => processes.kill(),
});

type BrokerEffects = Pick<Effects, "clock" | "log">;

/** Tasks submitted through a broker. Messages under way are stored and acknowledged; those that wait for the store are returned. */
function submissionsService(
  submissions: Broker["submissions"],
  submitter: Submitter,
  effects: BrokerEffects,
): Service {
  let closed: Promise<void> = Promise.resolve();
  return {
    name: "submissions",
    start: () => submissions.consume(submitter.submit),
    drain: () => {
      const submissionsClosed = submissions.close();
      submitter.close();
      closed = closeBroker(submissionsClosed, STOP_WITHIN_MS, effects);
    },
    stop: () => closed,
  };
}

/** Closes the broker. It delivers messages without an acknowledgement again, so the close need not wait for its answer. */
function closeBroker(closed: Promise<void>, withinMs: number, { clock, log }: BrokerEffects): Promise<void> {
  const logged = closed.catch((error: unknown) =>
    log.debug("broker_close_failed", { error: errorText(error) }),
  );
  return within(clock, withinMs, logged, undefined);
}

// ---- probes and addresses

/** Null if the store is ready. */
function whyStoreIsNotReady(store: Pick<TaskStore, "now">, clock: Clock): Promise<string | null> {
  const reason = store.now().then(
    () => null,
    (error: unknown) => (isTaskError(error) ? error.message : NO_ANSWER),
  );
  return within(clock, ANSWERS_A_PROBE_WITHIN_MS, reason, NO_ANSWER);
}

async function healthOf({ name, state }: Broker, clock: Clock): Promise<BrokerHealth> {
  return { name, state: await within(clock, ANSWERS_A_PROBE_WITHIN_MS, state(), "away") };
}

function warnOfOpenPort({ httpHost }: Config, log: Log): void {
  log.warn("open_to_the_network", {
    host: httpHost,
    message:
      "Every client that reaches this address may submit, read and delete tasks; HTTP_HOST=127.0.0.1 allows only this machine",
  });
}

const urlOf = ({ hostname, port }: { readonly hostname: string; readonly port: number }): string =>
  `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;

/** The prefix makes it unique among processes, the counter within this process. */
function createRequestIds(prefix: string): () => string {
  let count = 0;
  return () => `${prefix}-${++count}`;
}

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host.startsWith("127.");
