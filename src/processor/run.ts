import type { Progress } from "../core/task.ts";
import type { Line } from "./context.ts";
import type { LeaseTiming } from "./lease-timing.ts";
import type { ClaimedTask } from "./source.ts";
import { createStop, type Stop, type StopReason } from "./stop.ts";

/** One task in its slot. Times are monotonic. */
export type Run = {
  readonly task: ClaimedTask;
  readonly stop: Stop;
  /** Aborts just before the lease ends: then work that can be ended by force is ended. */
  readonly over: Stop;
  /**
   * This process was suspended and has asked the source whether it still holds the lease. Until the answer, it assumes so, once
   * for a short time.
   */
  isAsking: boolean;
  /** The lease is not held any more: the outcome cannot be reported. */
  lost: boolean;
  /** A heartbeat is under way. */
  isSending: boolean;
  heartbeatDueAt: number;
  heartbeatSentAt: number;
  leaseEndsAt: number;
  progress: Progress | null;
  log: Line[];
};

export const createRun = (task: ClaimedTask, leasedAt: number, timing: LeaseTiming): Run => ({
  task,
  stop: createStop(),
  over: createStop(),
  isAsking: false,
  lost: false,
  isSending: false,
  heartbeatDueAt: leasedAt + timing.renewEveryMs,
  heartbeatSentAt: leasedAt,
  leaseEndsAt: leasedAt + timing.leaseMs,
  progress: null,
  log: [],
});

/** Tells the handler to stop. The first reason counts, but a lost lease is recorded in any case. */
export type StopRun = (run: Run, reason: StopReason) => void;
