/**
 * The worker pool: claims as many tasks as it has free slots, runs each to its end, keeps their leases alive and says
 * how they went. It knows its source only by the TaskSource port. A slot and a lease end only when the handler has
 * ended: nothing is given away that may still be running.
 */
import type { Clock } from "../core/clock.ts";
import { isTaskError } from "../core/error.ts";
import type { Outcome } from "../core/outcome.ts";
import { LIMITS, type Progress, type TaskId } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import { sleep, within } from "../lib/waiting.ts";
import { createContext, type Line } from "./context.ts";
import { execute, type StopReason } from "./execute.ts";
import type { Handler, RunContext } from "./handler.ts";
import { ASK_ANEW, type ClaimedTask, type SourceBeat, type TaskSource } from "./source.ts";
import { createStop, type Stop } from "./stop.ts";

export interface Processor {
  start(): void;
  /** Asks anew, with the types that there are handlers for now. */
  refresh(): void;
  /**
   * Claims no more, lets running work finish for `graceMs`, then aborts what is left and gives it back. Resolves when all
   * slots are empty, or, at the latest KILL_AFTER_MS after the abort, with the number of handlers that did not end: their
   * leases stay, so that nobody runs those tasks before this process is gone.
   */
  stop(graceMs: number): Promise<number>;
  /** Tasks being worked on. */
  readonly running: number;
}

export type ProcessorSetup = {
  readonly source: TaskSource;
  /** Read at every claim: it may change while the processor runs. */
  readonly handlers: ReadonlyMap<string, Handler>;
  /** Ends by force what handlers still do; without it, those that heed no abort go on. */
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
/** What was killed is told, and its tasks are given back, within this. */
const GONE_AFTER_MS = 2_000;

const CLAIM_AT_MOST = 1_000;
const BEATS_AT_MOST = 1_000;
const RETRY_AFTER_MS = 1_000;
/** Progress reaches the store at most this often; a beat is due anyway every third of a lease. */
const PROGRESS_EVERY_MS = 1_000;

/** One task in its slot. Times are monotonic. */
type Run = {
  readonly task: ClaimedTask;
  readonly stop: Stop;
  /** Aborted just before the lease ends: work that can be ended by force is ended. */
  readonly over: Stop;
  /**
   * The lease is assumed to last longer than it was renewed for, once: this process was suspended, and asks whether it still
   * holds the lease.
   */
  isAsking: boolean;
  /** Nobody is left to tell how it goes. */
  lost: boolean;
  /** A beat is under way. */
  beating: boolean;
  beatDueAt: number;
  beatenAt: number;
  leaseEndsAt: number;
  progress: Progress | null;
  log: Line[];
  ended: Promise<void>;
};

export function createProcessor(setup: ProcessorSetup): Processor {
  const { source, clock, log, leaseMs } = setup;
  const runs = new Set<Run>(); // one a slot
  const talking = new Set<Run>(); // those of them that have progress or log lines to bring
  const latest = new Map<TaskId, Run>(); // a task that was lost may come back while its old run still ends
  let asking = new AbortController();
  let closed = false;
  // Half of the slots, so that while the tasks of one half are being settled those of the other are claimed.
  const claimAtMost = Math.min(Math.ceil(setup.concurrency / 2), CLAIM_AT_MOST);
  const beatEveryMs = leaseMs / 3;
  const tickMs = Math.min(250, leaseMs / 24);
  const lookEveryMs = leaseMs / 60;
  // If a lease is not renewed, its handler is told to stop before the end of the lease, and is killed later if it has not
  // stopped. Both may be late by one tick and one look, so the kill happens at the latest a forty-eighth of the lease before its
  // end.
  const giveUpMs = leaseMs / 6;
  const cutOffMs = leaseMs / 48 + tickMs + lookEveryMs;
  let claims: Promise<void> = Promise.resolve();
  let ticking = false;
  let lookDueAt = 0;
  let tickDueAt = 0;
  let slotFreed = (): void => undefined;
  let unlisten = (): void => undefined;

  // ---- claiming

  async function drink(): Promise<void> {
    while (!closed) {
      const free = setup.concurrency - runs.size;
      if (free > 0) await fill(Math.min(free, claimAtMost));
      else await new Promise<void>((resolve) => (slotFreed = resolve));
    }
  }

  async function fill(max: number): Promise<void> {
    const { signal } = asking;
    const types = [...setup.handlers.keys()];
    try {
      const { tasks, leasedAt } = await source.claim(
        { worker: setup.worker, types, max, leaseMs, slots: setup.concurrency },
        signal,
      );
      for (const task of tasks) begin(task, leasedAt);
      if (tasks.length === 0 && !signal.aborted) await sleep(clock, RETRY_AFTER_MS); // a source that has ended
    } catch (error) {
      log.warn("claim_failed", { error: errorText(error) });
      await sleep(clock, RETRY_AFTER_MS);
    }
  }

  // ---- one run

  function begin(task: ClaimedTask, leasedAt: number): void {
    const run: Run = {
      task,
      stop: createStop(),
      over: createStop(),
      isAsking: false,
      lost: false,
      beating: false,
      beatDueAt: leasedAt + beatEveryMs,
      beatenAt: leasedAt,
      leaseEndsAt: leasedAt + leaseMs,
      progress: null,
      log: [],
      ended: Promise.resolve(),
    };
    runs.add(run);
    latest.set(task.id, run);
    lookDueAt = Math.min(lookDueAt, run.beatDueAt);
    run.ended = live(run);
    keepTicking();
  }

  async function live(run: Run): Promise<void> {
    const { task } = run;
    log.debug("task_started", { task_id: task.id, type: task.type, attempt: task.attempt });
    const untime =
      task.timeoutMs === null ? null : clock.after(task.timeoutMs, () => stopRun(run, "timeout"));
    const handler = setup.handlers.get(task.type) ?? noHandler;
    const outcome = await execute(handler, task, { context: contextOf(run), stop: run.stop });
    untime?.();
    if (outcome !== null) await tell(run, outcome);
    runs.delete(run);
    talking.delete(run);
    if (latest.get(task.id) === run) latest.delete(task.id);
    slotFreed();
  }

  const contextOf = (run: Run): RunContext =>
    createContext({
      said: run,
      signal: () => run.stop.signal,
      leaseOver: () => run.over.signal,
      isOver: () => !runs.has(run),
      onSaid: () => beatSoon(run),
    });

  const beatSoon = (run: Run): void => {
    run.beatDueAt = Math.min(run.beatDueAt, run.beatenAt + PROGRESS_EVERY_MS);
    talking.add(run);
  };

  function stopRun(run: Run, reason: StopReason): void {
    if (reason === "lost") run.lost = true;
    if (run.stop.reason !== null) return;
    log.debug("task_stopping", { task_id: run.task.id, reason });
    run.stop.order(reason);
  }

  /** Says how it went, again and again while the source is away, for as long as the lease can still be held. */
  async function tell(run: Run, outcome: Outcome): Promise<void> {
    while (!run.lost) {
      if (await told(run, outcome)) return;
      if (!run.lost) await sleep(clock, RETRY_AFTER_MS);
    }
    log.warn("outcome_dropped", { task_id: run.task.id, outcome: outcome.kind, reason: "lease_lost" });
  }

  /** One try: the last progress and log lines first. */
  async function told(run: Run, outcome: Outcome): Promise<boolean> {
    const { task } = run;
    if ((run.progress !== null || run.log.length > 0) && !(await beat([run]))) return false;
    try {
      await source.settle(task.id, task.token, outcome);
      logOutcome(task, outcome);
      return true;
    } catch (error) {
      if (isTaskError(error, "lease_lost")) run.lost = true;
      else log.warn("settle_failed", { task_id: task.id, error: errorText(error) });
      return false;
    }
  }

  function logOutcome(task: ClaimedTask, outcome: Outcome): void {
    const fields = { task_id: task.id, type: task.type, attempt: task.attempt };
    if (outcome.kind === "failed") log.info("task_failed", { ...fields, code: outcome.error.code });
    else log.debug(`task_${outcome.kind}`, fields);
  }

  // ---- heartbeats

  /** Ticks only while something runs. */
  function keepTicking(): void {
    if (ticking) return;
    ticking = true;
    tickDueAt = clock.monotonic() + tickMs;
    clock.after(tickMs, () => {
      ticking = false;
      const now = clock.monotonic();
      if (now - tickDueAt > giveUpMs) stoodStill(now);
      tick(now);
      if (runs.size > 0) keepTicking();
    });
  }

  /**
   * Gives up what can no longer be held, whatever the source does, and sends what is due without waiting for it. All runs
   * are looked at when one of them may be due, but not at every tick: a hundred thousand take milliseconds.
   */
  function tick(now: number): void {
    const due: Run[] = [];
    const all = now >= lookDueAt;
    let nextDueAt = Number.POSITIVE_INFINITY;
    for (const run of all ? runs : talking) {
      const giveUpAt = run.leaseEndsAt - giveUpMs;
      if (now >= giveUpAt) {
        stopRun(run, "lost");
        if (now >= run.leaseEndsAt - cutOffMs) run.over.order("lost");
        else nextDueAt = Math.min(nextDueAt, run.leaseEndsAt - cutOffMs);
      } else if (run.beatDueAt <= now && !run.beating) due.push(run);
      else nextDueAt = Math.min(nextDueAt, giveUpAt, run.beatDueAt);
    }
    if (all) lookDueAt = Math.max(now + lookEveryMs, Math.min(nextDueAt, now + beatEveryMs));
    for (const run of due) run.beating = true;
    if (due.length > 0) void beatAll(due);
  }

  /**
   * This process was suspended, or its event loop was blocked. The server may not have judged these leases yet, and a server that
   * was suspended too has judged none. So a beat is sent for each lease that seems over, and the task is given up if no answer
   * comes soon.
   */
  function stoodStill(now: number): void {
    for (const run of runs) {
      if (run.lost || run.isAsking || now < run.leaseEndsAt - giveUpMs) continue;
      run.isAsking = true;
      run.leaseEndsAt = now + 2 * giveUpMs;
      run.beatDueAt = now;
    }
    lookDueAt = now;
  }

  async function beatAll(due: readonly Run[]): Promise<void> {
    for (let at = 0; at < due.length; at += BEATS_AT_MOST) {
      await beat(due.slice(at, at + BEATS_AT_MOST));
      await sleep(clock, 0); // a hundred thousand beats do not hold the event loop
    }
  }

  /** True when the source has answered. */
  async function beat(due: readonly Run[]): Promise<boolean> {
    const sentAt = clock.monotonic();
    const beats = due.map((run) => takeBeat(run, sentAt));
    try {
      const answers = await source.extend(beats);
      for (const [at, run] of due.entries()) answered(run, answers[at], sentAt);
      return true;
    } catch (error) {
      log.warn("heartbeat_failed", { leases: beats.length, error: errorText(error) });
      for (const [at, run] of due.entries()) unanswered(run, beats[at]);
      return false;
    } finally {
      for (const run of due) run.beating = false;
    }
  }

  function takeBeat(run: Run, sentAt: number): SourceBeat {
    const taken = { id: run.task.id, token: run.task.token, progress: run.progress, log: run.log };
    run.progress = null;
    run.log = [];
    talking.delete(run);
    run.beatenAt = sentAt;
    run.beatDueAt = sentAt + beatEveryMs;
    return taken;
  }

  function answered(run: Run, answer: "ok" | "cancel" | "lost" | undefined, sentAt: number): void {
    if (answer === "lost") stopRun(run, "lost");
    else renewed(run, sentAt + leaseMs);
    if (answer === "cancel") stopRun(run, "cancelled");
  }

  /** An answer to a beat that was sent before the suspension is older than the assumption made since, so it is ignored. */
  function renewed(run: Run, leaseEndsAt: number): void {
    if (leaseEndsAt < run.leaseEndsAt) return;
    run.leaseEndsAt = leaseEndsAt;
    run.isAsking = false;
  }

  /** What the lost beat carried goes with the next one, unless newer progress has come. */
  function unanswered(run: Run, lost: SourceBeat | undefined): void {
    run.progress ??= lost?.progress ?? null;
    run.log = [...(lost?.log ?? []), ...run.log].slice(-LIMITS.logLinesKept);
    run.beatDueAt = clock.monotonic() + Math.min(RETRY_AFTER_MS, beatEveryMs);
    talking.add(run);
  }

  function onHint({ id, version }: { readonly id: TaskId; readonly version: number | null }): void {
    const run = latest.get(id);
    if (run === undefined || run.stop.reason !== null) return;
    if (version === null || version > run.task.version) void beat([run]);
  }

  // ---- life

  function start(): void {
    unlisten = source.onRevoked(onHint);
    claims = drink();
  }

  function refresh(): void {
    const old = asking;
    asking = new AbortController();
    old.abort(ASK_ANEW);
  }

  async function stop(graceMs: number): Promise<number> {
    closed = true;
    asking.abort();
    slotFreed();
    await claims;
    await emptiedWithin(graceMs);
    for (const run of runs) stopRun(run, "shutdown");
    await emptiedWithin(KILL_AFTER_MS);
    if (runs.size > 0 && setup.kill !== undefined) {
      setup.kill();
      await emptiedWithin(GONE_AFTER_MS);
    }
    unlisten();
    return runs.size;
  }

  /** Until all slots are empty, but no longer than this. */
  async function emptiedWithin(ms: number): Promise<void> {
    if (runs.size === 0 || ms <= 0) return;
    const emptied = Promise.all([...runs].map((run) => run.ended));
    await within(clock, ms, emptied, undefined);
  }

  return {
    start,
    refresh,
    stop,
    get running() {
      return runs.size;
    },
  };
}

const noHandler: Handler = (task) =>
  Promise.reject(new Error(`This worker has no handler for "${task.type}"`));
