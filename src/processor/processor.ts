/**
 * Claims as many tasks as it has free slots, runs each to its end, keeps their leases and reports the outcomes. It uses its source
 * only through the TaskSource port. A slot and a lease end only when the handler has ended: a task that may still be running is
 * not given to another worker.
 */
import type { Clock } from "../core/clock.ts";
import type { Outcome } from "../core/outcome.ts";
import type { TaskId } from "../core/task.ts";
import { createDueQueue, type Due } from "../lib/due-queue.ts";
import { errorText, type Log } from "../lib/log.ts";
import { sleep } from "../lib/waiting.ts";
import { createContexts } from "./context.ts";
import { execute } from "./execute.ts";
import type { Handler } from "./handler.ts";
import { createHeartbeats } from "./heartbeats.ts";
import { leaseTiming } from "./lease-timing.ts";
import { createLeaseWatch } from "./lease-watch.ts";
import { createOutcomeReport } from "./outcomes.ts";
import { startInPortions } from "./portions.ts";
import { createRun, type Run } from "./run.ts";
import { createSlots } from "./slots.ts";
import { ASK_ANEW, type ClaimedTask, type TaskSource } from "./source.ts";
import { onOrder, order, type StopReason, signalOf } from "./stop.ts";

export interface Processor {
  start(): void;
  /** Claims again at once, for the types that have handlers now. */
  refresh(): void;
  /**
   * Claims no more, lets running work finish for `graceMs`, then aborts and releases the rest. Resolves when all slots are empty,
   * or, at the latest KILL_AFTER_MS after the abort, with the number of handlers that did not end: their leases stay, so that no worker
   * gets those tasks while this process exists.
   */
  stop(graceMs: number): Promise<number>;
  /** The number of tasks in slots. */
  readonly running: number;
}

export type ProcessorSetup = {
  readonly source: TaskSource;
  /** Read at every claim: it may change while the processor runs. */
  readonly handlers: ReadonlyMap<string, Handler>;
  /** Ends by force the handlers that still run. Without it, handlers that ignore their abort signal continue. */
  readonly kill?: () => void;
  /** The name that leases and history show. */
  readonly worker: string;
  readonly concurrency: number;
  readonly leaseMs: number;
  readonly clock: Clock;
  readonly log: Log;
};

/** How long an aborted handler may take to end. */
export const KILL_AFTER_MS = 3_000;
/** The time limit for the end of killed handlers and the return of their tasks. */
const GONE_AFTER_MS = 2_000;

const CLAIM_AT_MOST = 1_000;
const SMALL_CLAIM = 50;
const RETRY_AFTER_MS = 1_000;

export function createProcessor(setup: ProcessorSetup): Processor {
  const { source, handlers, clock, log, leaseMs } = setup;
  const timing = leaseTiming(leaseMs);
  const slots = createSlots(setup.concurrency, clock);
  const heartbeats = createHeartbeats({ source, timing, stopRun, clock, log });
  const leases = createLeaseWatch({ runs: slots.runs, heartbeats, timing, stopRun, clock });
  const report = createOutcomeReport({ source, heartbeats, clock, log });
  const timeouts = createDueQueue<Run>({ clock, onDue: (run) => stopRun(run, "timeout") });
  const claimAtMost = claimedAtOnce(setup.concurrency);
  let claiming = new AbortController();
  let closed = false;
  let claims: Promise<void> = Promise.resolve();
  let unlisten = (): void => undefined;

  // ---- claims

  async function claimUntilClosed(): Promise<void> {
    while (!closed) {
      if (slots.free > 0) await claim(Math.min(slots.free, claimAtMost));
      else await slots.released();
    }
  }

  async function claim(max: number): Promise<void> {
    const { signal } = claiming;
    const types = [...handlers.keys()];
    try {
      const { tasks, leasedAt } = await source.claim(
        { worker: setup.worker, types, max, leaseMs, slots: setup.concurrency },
        signal,
      );
      const runs = tasks.map((task) => take(task, leasedAt));
      void startInPortions(runs, work);
      if (tasks.length === 0 && !signal.aborted) await sleep(clock, RETRY_AFTER_MS); // a source that has ended
    } catch (error) {
      log.warn("claim_failed", { error: errorText(error) });
      await sleep(clock, RETRY_AFTER_MS);
    }
  }

  // ---- runs

  function take(task: ClaimedTask, leasedAt: number): Run {
    const run = createRun(task, leasedAt, timing);
    slots.take(run);
    leases.add(run);
    return run;
  }

  /** No async function, and no timer or closure that is not needed: a hundred thousand runs may wait here. */
  function work(run: Run): void {
    const { task } = run;
    log.debug("task_started", { task_id: task.id, type: task.type, attempt: task.attempt });
    const timeout = task.timeoutMs === null ? null : timeouts.add(run, task.timeoutMs);
    const handler = handlers.get(task.type) ?? noHandler;
    const running = { context: contextOf(run), stop: run.stop };
    void execute(handler, task, running).then((outcome) => end(run, outcome, timeout));
  }

  async function end(run: Run, outcome: Outcome | null, timeout: Due<Run> | null): Promise<void> {
    if (timeout !== null) timeouts.remove(timeout);
    if (outcome !== null) await report(run, outcome);
    heartbeats.forget(run);
    slots.release(run);
  }
  const contextOf = createContexts<Run>({
    signal: (run) => signalOf(run.stop),
    leaseOver: (run) => signalOf(run.over),
    onStop: (run, listener) => onOrder(run.stop, listener),
    isOver: (run) => !slots.runs.has(run),
    onReport: heartbeats.reported,
  });

  function stopRun(run: Run, reason: StopReason): void {
    if (reason === "lost") run.lost = true;
    if (run.stop.reason !== null) return;
    log.debug("task_stopping", { task_id: run.task.id, reason });
    order(run.stop, reason);
  }

  function onRevoked({ id, version }: { readonly id: TaskId; readonly version: number | null }): void {
    const run = slots.latest(id);
    if (run === undefined || run.stop.reason !== null) return;
    if (version === null || version > run.task.version) void heartbeats.send([run]);
  }

  // ---- life

  async function stop(graceMs: number): Promise<number> {
    closed = true;
    claiming.abort();
    slots.wake();
    await claims;
    await slots.emptied(graceMs);
    for (const run of slots.runs) stopRun(run, "shutdown");
    await slots.emptied(KILL_AFTER_MS);
    if (slots.runs.size > 0 && setup.kill !== undefined) {
      setup.kill();
      await slots.emptied(GONE_AFTER_MS);
    }
    unlisten();
    return slots.runs.size;
  }

  return {
    start: () => {
      unlisten = source.onRevoked(onRevoked);
      claims = claimUntilClosed();
    },
    refresh: () => {
      const previous = claiming;
      claiming = new AbortController();
      previous.abort(ASK_ANEW);
    },
    stop,
    get running() {
      return slots.runs.size;
    },
  };
}

/**
 * A quarter of many slots, half of few ones: while some are claimed, others run, and the outcomes of others are reported. A claim of
 * fewer tasks would cost the store more for each.
 */
const claimedAtOnce = (slots: number): number =>
  Math.min(Math.ceil(slots / 2), Math.max(SMALL_CLAIM, Math.ceil(slots / 4)), CLAIM_AT_MOST);

const noHandler: Handler = (task) =>
  Promise.reject(new Error(`This worker has no handler for "${task.type}"`));
