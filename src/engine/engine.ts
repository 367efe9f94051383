/**
 * What may happen to tasks, as four interfaces, one for each audience. Every change is a pure rule of core/lifecycle, written by
 * compare-and-set. Calls share their writes (batches.ts); heartbeats and outcomes have batches of their own and never wait for
 * creates.
 */
import type { Clock } from "../core/clock.ts";
import type { TypeDefaults } from "../core/lifecycle.ts";
import type { Log } from "../lib/log.ts";
import { type Service, startServices, stopServices } from "../lib/service.ts";
import type { Look, TaskStore } from "../store/store.ts";
import type { WakeUps } from "../wakeup/wake-ups.ts";
import { createChangeFeed } from "./change-feed.ts";
import { createClaimCache } from "./claim-cache.ts";
import { createMaintenance, type Maintenance } from "./maintenance.ts";
import { createMinuteStatistics } from "./minute-statistics.ts";
import { createNotify } from "./notify.ts";
import { createOutages } from "./outages.ts";
import { createProcessRegistry, type ProcessRegistry } from "./process-registry.ts";
import { createProducers, type Producers } from "./producers.ts";
import { createReadMany } from "./read-many.ts";
import { createSteps } from "./steps.ts";
import { createStoreClock } from "./store-clock.ts";
import type { Retention } from "./task-deletion.ts";
import { createWatchers, type Watchers } from "./watchers.ts";
import { createWorkerRegistry, DRAINS } from "./worker-registry.ts";
import { createWorkers, type Workers } from "./workers.ts";

export interface Engine extends Producers, Workers, Watchers, Maintenance {
  /** The processes on the store. */
  readonly processes: Pick<ProcessRegistry, "name" | "known">;
  /** What the engine runs in the background, in the order of its start. */
  readonly services: readonly Service[];
  /** Starts the services, for an engine outside of an app. */
  start(): Promise<void>;
  /** Answers all waits for the end of a task at once, also later ones. */
  releaseWaits(): void;
  /** Ends all waiting claims and stops the services. May be called twice. */
  close(): Promise<void>;
}

export type EngineSetup = {
  readonly store: TaskStore;
  /** Notified of due tasks after each commit, and wakes waiting claims. */
  readonly wakeUps: WakeUps;
  /** Used in its place for this process's own workers, if given. */
  readonly ownWakeUps?: WakeUps;
  readonly clock: Clock;
  readonly log: Log;
  /** A random number from [0, 1). */
  readonly random: () => number;
  /** A short text that is different each time; it makes tokens unguessable. */
  readonly nonce: () => string;
  /** Defaults of the types that have their own. */
  readonly types: ReadonlyMap<string, TypeDefaults>;
  readonly pollMs: number;
  readonly retentions: readonly Retention[];
};

/** The services of the engine wait for their rounds under way, which the time limits of the store bound. */
const STOP_WITHIN_MS = 2_000;

export function createEngine(setup: EngineSetup): Engine {
  const { store, wakeUps, ownWakeUps = wakeUps, clock, log } = setup;
  const time = createStoreClock(store, clock);
  const outages = createOutages(clock.monotonic());
  const claimCache = createClaimCache();
  const feed = createChangeFeed({ store, clock, log });
  const readMany = createReadMany(store);
  const { now } = time;
  const minutes = createMinuteStatistics({ store, now, name: setup.nonce(), clock, log });
  const processes = createProcessRegistry({
    ...{ store, name: setup.nonce(), now, waiting: () => waiting(), clock, log },
  });
  const registry = createWorkerRegistry({
    ...{ store, now, waiting: () => waiting(), clock, log },
  });
  const notify = createNotify({ wakeUps: ownWakeUps, clock, log });
  const steps = createSteps({ store, readMany, now, minutes, notify });

  const shared = {
    ...setup,
    ownWakeUps,
    now,
    time,
    outages,
    claimCache,
    feed,
    readMany,
    minutes,
    processes,
    registry,
    notify,
    steps,
  };
  const producers = createProducers(shared);
  const { workers, waiting, foundNothing, service: waitingClaims } = createWorkers(shared);
  const { watchers, releaseWaits, service: changeFeed } = createWatchers(shared);
  const { maintenance, storeClock, leaseJudging, taskDeletion } = createMaintenance({ ...shared, look });

  async function look(leases: boolean): Promise<Look> {
    const at = clock.monotonic();
    const types = [...new Set([...waiting()].flatMap((ask) => ask.types))].sort();
    const looked = await store.look({ types, leases, documents: DRAINS });
    if (!looked.isDue) foundNothing(at);
    if (!looked.hasDocuments) registry.hadNoDrains(at);
    return looked;
  }

  const services = [
    storeClock,
    minutes.service,
    processes.service,
    registry.service,
    taskDeletion,
    leaseJudging,
    changeFeed,
    waitingClaims,
  ];

  return {
    ...producers,
    ...workers,
    ...watchers,
    ...maintenance,
    processes,
    services,
    start: () => startServices(services),
    releaseWaits,
    close: () => stopServices(services, STOP_WITHIN_MS),
  };
}
