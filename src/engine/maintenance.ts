/** The engine's maintenance: the store's time, leases of dead workers, deletion of old tasks. */
import type { Clock } from "../core/clock.ts";
import { isOver } from "../core/lease.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createLoop } from "../lib/loop.ts";
import type { Service } from "../lib/service.ts";
import type { Look, TaskQuery, TaskStore } from "../store/store.ts";
import type { ClaimCache } from "./claim-cache.ts";
import { ROUND_AT_MOST } from "./find-tasks.ts";
import { createLeaseJudging } from "./lease-judging.ts";
import type { Outages } from "./outages.ts";
import type { ProcessRegistry } from "./process-registry.ts";
import type { Steps } from "./steps.ts";
import type { StoreClock } from "./store-clock.ts";
import { createTaskDeletion, type Retention } from "./task-deletion.ts";

export type Swept = { readonly expired: number; readonly removed: number };

export interface Maintenance {
  /** The time that decides about all tasks, epoch milliseconds. */
  now(): number;
  /** Runs one round of lease judging and one of the deletion of old tasks now. */
  sweep(): Promise<Swept>;
}

export type MaintenanceSetup = {
  readonly store: Pick<TaskStore, "list" | "remove">;
  readonly time: StoreClock;
  readonly steps: Pick<Steps, "workerStep">;
  readonly outages: Outages;
  readonly claimCache: ClaimCache;
  readonly processes: Pick<ProcessRegistry, "isOnTurn">;
  /** Asks the store for its time, and whether there is work for this process. */
  readonly look: (leases: boolean) => Promise<Look>;
  readonly retentions: readonly Retention[];
  /** A random number from [0, 1). */
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Log;
};

/** The rounds are never more than a second apart, so that they also serve as the poll of waiting claims. */
const ROUND_MS = 900;
const JITTER = 0.06;
/** How many processes judge leases in the same second: if one of them has died or is late, another one does it. */
const JUDGES = 2;
const DELETERS = 1;
/** The pause after a round that found no old tasks, as a part of the shortest time for which tasks are kept, and its limit. */
const DELETION_PAUSE = 1 / 100;
const DELETION_PAUSE_AT_MOST_MS = 10_000;
/** Smaller steps are normal for a clock that is synchronized. */
const CLOCK_SET_LOGGED_FROM_MS = 1_000;

export function createMaintenance(setup: MaintenanceSetup) {
  const { store, time, outages, clock, log, processes } = setup;
  let isClosing = false;
  let deletionPauseUntil = 0; // monotonic
  const list = (query: TaskQuery<"head">) => store.list(query);
  const judgeLeases = createLeaseJudging({
    ...{ list, mayJudge: outages.mayJudge, log },
    transition: (id, rule) => setup.steps.workerStep({ id, parts: "light" }, rule),
    mayBeOverlong: () => outages.mayBeOverlong(clock.monotonic()),
  });
  const deleteOldTasks = createTaskDeletion({
    ...{ list, retentions: setup.retentions, monotonic: clock.monotonic, log },
    remove: (refs) => store.remove(refs),
    isClosing: () => isClosing,
  });

  /**
   * One round. It is due `dueAfterMs` after the round before; null for a round that is not scheduled. Every process measures the clock and its
   * outages in each round; only some read the leases.
   */
  async function judge(dueAfterMs: number | null): Promise<number> {
    const isOnTurn = dueAfterMs === null || processes.isOnTurn(time.now(), JUDGES);
    let isExpired = false;
    const setByMs = await time.sync(async () => {
      const looked = await setup.look(isOnTurn);
      isExpired = looked.isExpired;
      return looked.now;
    });
    if (Math.abs(setByMs) >= CLOCK_SET_LOGGED_FROM_MS)
      log.warn("store_clock_set", { by_ms: Math.round(setByMs) });
    const now = time.now();
    outages.reached({ at: clock.monotonic(), now, setByMs, dueAfterMs });
    setup.claimCache.forgetLost((task) => isOver(task, now) && outages.mayJudge(task.lease, now));
    return isOnTurn ? judgeLeases(now, isExpired) : 0;
  }

  async function deleteInTurn(): Promise<number> {
    const at = clock.monotonic();
    if (at < deletionPauseUntil || !processes.isOnTurn(time.now(), DELETERS)) return 0;
    const deleted = await deleteOldTasks(time.retentionNow());
    deletionPauseUntil = deleted > 0 ? at : at + deletionPauseMs(setup.retentions);
    return deleted;
  }

  /** After a full round the next one follows at once. Otherwise a random delay spreads the rounds of several processes. */
  const nextRoundMs = (done: number): number =>
    done >= ROUND_AT_MOST ? 0 : ROUND_MS * (1 - JITTER + 2 * JITTER * setup.random());

  const judging = createLoop({
    after: clock.after,
    round: async () => nextRoundMs(await judge(ROUND_MS * (1 + JITTER))),
    onError: (error) => {
      log.warn("sweep_failed", { error: errorText(error) });
      return ROUND_MS;
    },
  });

  const deletion = createLoop({
    after: clock.after,
    round: async () => nextRoundMs(await deleteInTurn()),
    onError: (error) => {
      log.error("retention_failed", { error: errorText(error) }); // a defect: `deleteOldTasks` never rejects
      return ROUND_MS;
    },
  });

  const maintenance: Maintenance = {
    now: () => time.now(),
    sweep: async () => ({
      expired: await judge(null),
      removed: await deleteOldTasks(time.retentionNow()),
    }),
  };
  /** The first measurement of the store's time comes before all else that uses the store. */
  const storeClock: Service = {
    name: "store clock",
    start: async () => void (await time.sync()),
    stop: async () => undefined,
  };
  const leaseJudging: Service = { name: "lease judging", start: judging.start, stop: judging.stop };
  const taskDeletion: Service = {
    name: "deletion of old tasks",
    start: deletion.start,
    drain: () => {
      isClosing = true;
    },
    stop: deletion.stop,
  };
  return { maintenance, storeClock, leaseJudging, taskDeletion };
}

function deletionPauseMs(retentions: readonly Retention[]): number {
  const kept = retentions.map(({ keepMs }) => keepMs).filter((keepMs) => keepMs > 0);
  return Math.min(Math.min(...kept) * DELETION_PAUSE, DELETION_PAUSE_AT_MOST_MS);
}
