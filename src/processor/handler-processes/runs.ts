/** The runs in one process: starts them, passes on their reports, and ends them. */
import type { Clock } from "../../core/clock.ts";
import { CANCEL_GRACE_MS } from "../../core/lease.ts";
import type { Outcome } from "../../core/outcome.ts";
import { onAbort } from "../../lib/waiting.ts";
import type { HandlerTask, RunContext } from "../handler.ts";
import type { StopReason } from "../stop.ts";
import type { FromHandlers, ToHandlers } from "./messages.ts";

/** How long after its abort a handler may continue; after a cancel request it has the grace of the request. */
export const OVERTIME_MS = 5_000;

export interface Runs {
  /** Sends the task to the process; resolves when `end` or `endAll` ends the run. */
  start(task: HandlerTask, context: RunContext): Promise<Outcome>;
  /** Passes on progress and log lines. No effect if the run has ended. */
  report(update: Extract<FromHandlers, { kind: "update" }>): void;
  end(id: number, outcome: Outcome): void;
  /** Ends all runs. The argument of `outcomeOf` is whether the run was told to stop. */
  endAll(outcomeOf: (wasStopped: boolean) => Outcome): void;
  /** Whether a run continues for too long after its abort. */
  hasOvertime(): boolean;
  readonly size: number;
}

export type RunsSetup = {
  readonly clock: Clock;
  /** Numbers the runs of all processes. */
  readonly nextRun: () => number;
  readonly send: (message: ToHandlers) => void;
  /** The lease of a run is about to end: the run must be ended by force. */
  readonly onLeaseOver: () => void;
};

type Run = {
  readonly context: RunContext;
  readonly end: (outcome: Outcome) => void;
  /** A run that was told to stop must have ended by this time; monotonic. */
  killAt: number;
};

export function createRuns({ clock, nextRun, send, onLeaseOver }: RunsSetup): Runs {
  const runs = new Map<number, Run>();

  function start(task: HandlerTask, context: RunContext): Promise<Outcome> {
    const { promise, resolve } = Promise.withResolvers<Outcome>();
    const id = nextRun();
    const run: Run = {
      context,
      killAt: Number.POSITIVE_INFINITY,
      end: (outcome) => {
        runs.delete(id);
        unlisten();
        resolve(outcome);
      },
    };
    runs.set(id, run);
    const { payload: _, ...sent } = task;
    send({ kind: "run", run: id, task: sent });
    const unlisten = listen(id, run);
    return promise;
  }

  function listen(id: number, run: Run): () => void {
    const { signal, leaseOver } = run.context;
    const unlistenStop = onAbort(signal, () => {
      const reason = signal.reason as StopReason; // the processor's own
      run.killAt = clock.monotonic() + (reason === "cancelled" ? CANCEL_GRACE_MS : OVERTIME_MS);
      send({ kind: "stop", run: id, reason });
    });
    const unlistenLease = leaseOver === undefined ? null : onAbort(leaseOver, onLeaseOver);
    return () => {
      unlistenStop();
      unlistenLease?.();
    };
  }

  return {
    start,
    report: ({ run: id, progress, log }) => {
      const context = runs.get(id)?.context;
      if (progress !== null) context?.progress(progress.percent, progress.message);
      for (const { level, message } of log) context?.log(message, level);
    },
    end: (id, outcome) => runs.get(id)?.end(outcome),
    endAll: (outcomeOf) => {
      for (const { context, end } of runs.values()) end(outcomeOf(context.signal.aborted));
    },
    hasOvertime: () => [...runs.values()].some(({ killAt }) => clock.monotonic() >= killAt),
    get size() {
      return runs.size;
    },
  };
}
