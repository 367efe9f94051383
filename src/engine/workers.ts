/** The engine for workers: claims, heartbeats, outcomes, repeated claims and draining. */
import { isTaskError, TaskError } from "../core/error.ts";
import { settle } from "../core/lifecycle.ts";
import type { Outcome } from "../core/outcome.ts";
import type { LightTask, RunningTask, TaskId } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { Beat, BeatAnswer, StoredDocument, TaskStore } from "../store/store.ts";
import { createStoreBatch, WORKER_LIMITS } from "./batches.ts";
import type { ChangeFeed } from "./change-feed.ts";
import type { ClaimCache } from "./claim-cache.ts";
import { type Claims, type ClaimsSetup, createClaims } from "./claims.ts";
import { recallDocument } from "./documents.ts";
import type { MinuteStatistics } from "./minute-statistics.ts";
import type { Outages } from "./outages.ts";
import type { ReadMany } from "./read-many.ts";
import { type Hint, listenForRevocations } from "./revocations.ts";
import type { Steps } from "./steps.ts";
import type { WorkerRegistry } from "./worker-registry.ts";

export interface Workers extends Claims {
  /** The length of each of these leases from a heartbeat that was just answered, in milliseconds; null if the lease is lost. */
  leaseMs(leases: readonly Pick<Beat, "id" | "token">[]): Promise<readonly (number | null)[]>;
  /** Renews leases; one answer for each. */
  extend(beats: readonly Beat[]): Promise<readonly BeatAnswer[]>;
  /** Writes the outcome of an attempt. Rejects with `lease_lost` if the token is not that of the present lease. */
  settle(id: TaskId, token: string, outcome: Outcome): Promise<void>;
  /** The text remembered under this name; null if there is none, or its time is over. The same in every process on the store. */
  recall(name: string): Promise<Pick<StoredDocument, "value" | "version"> | null>;
  /** Remembers a text if `version` is the present one; 0, the default, means that nothing is remembered. False otherwise. */
  remember(name: string, value: string, forMs: number, version?: number): Promise<boolean>;
  /** From now on this worker is asked to take no more tasks; `isDraining` false ends that. */
  drain(worker: string, isDraining: boolean): Promise<void>;
  isDraining(worker: string): Promise<boolean>;
  /**
   * Calls the listener for tasks that have changed or were deleted, and `onMissed` if earlier changes are not known. Returns a function that ends
   * this.
   */
  onRevoked(listener: (hint: Hint) => void, onMissed?: () => void): () => void;
}

export type WorkersSetup = Omit<ClaimsSetup, "store" | "onClaimed" | "giveBack"> & {
  readonly store: Pick<TaskStore, "claim" | "extend" | "readDocuments" | "writeDocuments">;
  readonly steps: Pick<Steps, "workerStep" | "writeWorkerStep">;
  readonly readMany: ReadMany;
  readonly claimCache: ClaimCache;
  readonly registry: WorkerRegistry;
  readonly minutes: Pick<MinuteStatistics, "started">;
  readonly outages: Outages;
  readonly feed: ChangeFeed;
  /** A random number from [0, 1). */
  readonly random: () => number;
  readonly log: Log;
};

export function createWorkers(setup: WorkersSetup) {
  const { store, now, steps, claimCache, registry, outages, log } = setup;
  const beats = createStoreBatch<Beat, BeatAnswer>({
    send: extendAll,
    keyOf: (beat) => beat.id,
    limits: WORKER_LIMITS,
  });
  const { waiting, foundNothing, service, ...claims } = createClaims({
    ...setup,
    giveBack: (tasks) => Promise.all(tasks.map(giveBack)),
    onClaimed: (asks, claimed) => {
      for (const tasks of claimed) {
        claimCache.add(tasks);
        setup.minutes.started(tasks);
      }
      for (const [at, ask] of asks.entries()) {
        registry.claimed({ ...ask, max: ask.max - (claimed[at]?.length ?? 0) });
      }
    },
  });

  async function extendAll(calls: readonly Beat[]): Promise<BeatAnswer[]> {
    const at = now();
    const answers = await extendInStore(calls, at);
    for (const { id, token } of calls) {
      const worker = claimCache.workerOf(id, token);
      if (worker !== null) registry.seen(worker);
    }
    claimCache.renewed(calls, answers, at);
    return answers;
  }

  async function extendInStore(calls: readonly Beat[], at: number): Promise<BeatAnswer[]> {
    try {
      const answers = await store.extend(calls, at);
      outages.heartbeatsWritten(true);
      return answers;
    } catch (error) {
      outages.heartbeatsWritten(false);
      throw error;
    }
  }

  async function settleTask(id: TaskId, token: string, outcome: Outcome): Promise<void> {
    const random = setup.random();
    const step = claimCache.settle(id, { token, outcome }, now(), random);
    if (step !== null && (await steps.writeWorkerStep(step)) === "ok") return;
    try {
      const rule = (task: LightTask, at: number) => settle(task, { token, outcome }, at, random);
      await steps.workerStep({ id, parts: "light" }, rule);
    } catch (error) {
      if (isTaskError(error, "not_found")) throw new TaskError("lease_lost", `Task ${id} has been deleted`);
      throw error;
    }
  }

  /** The worker has left. If this fails, the task waits at most until its lease ends. */
  const giveBack = (task: RunningTask): Promise<void> =>
    settleTask(task.id, task.token, { kind: "released", delayMs: 0 }).catch((error: unknown) =>
      log.warn("give_back_failed", { task_id: task.id, error: errorText(error) }),
    );

  /** Most leases were given by this process; the store is asked for the others. */
  async function leaseMs(leases: readonly Pick<Beat, "id" | "token">[]): Promise<(number | null)[]> {
    const known = leases.map(({ id, token }) => claimCache.leaseMs(id, token));
    const unknown = leases.filter((_, at) => known[at] === null).map(({ id }) => id);
    if (unknown.length === 0) return known;
    const found = await setup.readMany(unknown, "head");
    return leases.map(({ id, token }, at) => {
      const task = found.get(id);
      return known[at] ?? (task?.token === token ? (task.lease?.leaseMs ?? null) : null);
    });
  }

  async function remember(name: string, value: string, forMs: number, version = 0): Promise<boolean> {
    const at = now();
    const [written] = await store.writeDocuments(
      [{ name, value, until: at + forMs, ifVersion: version }],
      at,
    );
    return written === "ok";
  }

  const workers: Workers = {
    ...claims,
    leaseMs,
    extend: (calls) => Promise.all(calls.map(beats)),
    settle: settleTask,
    recall: (name) => recallDocument(store, name, now()),
    remember,
    drain: registry.drain,
    isDraining: (worker) => {
      registry.seen(worker); // a worker that asks is alive
      return registry.isDraining(worker);
    },
    onRevoked: (listener, onMissed) => listenForRevocations(setup.feed, listener, onMissed),
  };
  return { workers, waiting, foundNothing, service };
}
