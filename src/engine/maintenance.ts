/** The engine's maintenance: the store's time, leases of dead workers, deletion of old tasks. */
import type { Clock } from "../core/clock.ts";
import { isOver } from "../core/lease.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createLoop } from "../lib/loop.ts";
import type { Service } from "../lib/service.ts";
import type { TaskQuery, TaskStore } from "../store/store.ts";
import type { ClaimCache } from "./claim-cache.ts";
import { ROUND_AT_MOST } from "./find-tasks.ts";
import { createLeaseJudging } from "./lease-judging.ts";
import type { Outages } from "./outages.ts";
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
  readonly retentions: readonly Retention[];
  /** A random number from [0, 1). */
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Log;
};

const ROUND_MS = 1_000;
const JITTER = 0.2;
/** Smaller steps are normal for a clock that is synchronized. */
const CLOCK_SET_LOGGED_FROM_MS = 1_000;

export function createMaintenance(setup: MaintenanceSetup) {
  const { store, time, outages, clock, log } = setup;
  let isClosing = false;
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

  /** One round. It is due `dueAfterMs` after the round before; null for a round that is not scheduled. */
  async function judge(dueAfterMs: number | null): Promise<number> {
    const setByMs = await time.sync();
    if (Math.abs(setByMs) >= CLOCK_SET_LOGGED_FROM_MS)
      log.warn("store_clock_set", { by_ms: Math.round(setByMs) });
    const now = time.now();
    outages.reached({ at: clock.monotonic(), now, setByMs, dueAfterMs });
    setup.claimCache.forgetLost((task) => isOver(task, now) && outages.mayJudge(task.lease, now));
    return judgeLeases(now);
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
    round: async () => nextRoundMs(await deleteOldTasks(time.retentionNow())),
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
