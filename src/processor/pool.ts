/**
 * Handlers in processes of their own. Here tasks are handed to them, and they are watched: a process that died, fell silent
 * or works on a task past its time is killed with all that it has started, and replaced. Leases, heartbeats and timeouts stay
 * with the processor, for which all of this is one handler: it ends when the work has ended or been killed, never before.
 */
import type { Clock } from "../core/clock.ts";
import { TaskError } from "../core/error.ts";
import { CANCEL_GRACE_MS } from "../core/lease.ts";
import type { TypeDefaults } from "../core/lifecycle.ts";
import type { Outcome } from "../core/outcome.ts";
import { LIMITS, storableText } from "../core/task.ts";
import { backoffMs } from "../lib/backoff.ts";
import type { Log } from "../lib/log.ts";
import { createSemaphore } from "../lib/semaphore.ts";
import type { StopReason } from "./execute.ts";
import { type HandlerTask, type RunContext, type Verdict, verdictOf } from "./handler.ts";
import { BEAT_EVERY_MS, type FromHandlers, type ToHandlers } from "./pool-messages.ts";

/** A process that runs handlers, as far as the pool sees it. */
export type HandlerProcess = {
  readonly pid: number;
  /** What it does not hear any more is lost. */
  readonly send: (message: ToHandlers) => void;
  /** Kills it and all that it has started, these process groups too; what is gone already is no error. */
  readonly kill: (groups: readonly number[]) => void;
};

export type ProcessExit = { readonly code: number | null; readonly signal: string | null };

/** Starts a process that loads the module; `ended` is called once, when it is gone. */
export type SpawnHandlers = (on: {
  readonly message: (message: FromHandlers) => void;
  readonly ended: (exit: ProcessExit) => void;
}) => HandlerProcess;

export interface Pool {
  /** Starts the processes; resolves when the module is loaded. Rejects with `invalid` and the module's own error where it cannot be. */
  start(): Promise<void>;
  /** Works on any type of the module. */
  readonly handler: (task: HandlerTask, context: RunContext) => Promise<Verdict>;
  /**
   * Loads the module anew: new tasks go to new processes, the old ones end with their last task. Where it cannot be loaded,
   * that is logged and everything stays as it is.
   */
  reload(): Promise<void>;
  /** Kills all processes; what they worked on is given back. Nothing is started any more. */
  kill(): void;
}

export type PoolSetup = {
  readonly spawn: SpawnHandlers;
  readonly processes: number;
  /** Told what types there are, with their defaults, before `start` resolves and again after each change. */
  readonly onTypes: (types: ReadonlyMap<string, TypeDefaults>) => void;
  readonly clock: Clock;
  readonly log: Log;
};

/** A process that is not heard of for this long is taken for dead: its event loop stands. */
export const SILENT_AFTER_MS = 10_000;
/** New tasks go to others before that. */
const QUIET_AFTER_MS = 2.5 * BEAT_EVERY_MS;
/** How long after its abort a handler may go on; one that was cancelled has the grace of the cancel request. */
export const OVERTIME_MS = 5_000;
/** A module that takes longer to load will not be waited for. */
const LOADS_WITHIN_MS = 60_000;
const TICK_MS = 500;
const RESTART = { firstMs: 100, longestMs: 10_000 };
/** So many processes, or twice the usual ones, may be there for one task each. */
const ALONE_AT_LEAST = 4;
/** Without any process a task waits this long in its slot, and is then given back for as long. */
const WAIT_FOR_PROCESS_MS = 10_000;

type Run = {
  readonly id: number;
  readonly task: HandlerTask;
  readonly context: RunContext;
  readonly end: (outcome: Outcome) => void;
  /** When it has gone on for too long after its abort; monotonic. */
  killAt: number;
};

type Member = {
  readonly process: HandlerProcess;
  readonly runs: Map<number, Run>;
  readonly groups: Set<number>;
  /** Of those before it in its place, how many in a row have ended before they had done anything. */
  readonly deaths: number;
  /** Hears once whether it has loaded the module: null, or what was wrong; null where nobody waits for that. */
  readonly trial: ((fault: string | null) => void) | null;
  /** One that is alone works on a single task, and is then retired. */
  readonly isAlone: boolean;
  state: "loading" | "ready" | "retired";
  readonly startedAt: number;
  heardAt: number;
  /** It was silent at the last look too: one look alone may come from a server that was itself suspended. */
  isSuspect: boolean;
  hasWorked: boolean;
  /** What it has said of its end. */
  fault: string | null;
  /** Why it was killed, if it was. */
  killedFor: "overtime" | "silence" | "shutdown" | null;
};

export function createPool(setup: PoolSetup): Pool {
  const { clock, log } = setup;
  const members = new Set<Member>();
  const waiting = new Set<() => void>();
  const restarts = new Set<() => void>(); // each cancels one
  const solo = createSemaphore(Math.max(ALONE_AT_LEAST, 2 * setup.processes));
  let isKilled = false;
  let isTicking = false;
  let runsSoFar = 0;

  // ---- processes

  function launch({ deaths, trial, isAlone }: Pick<Member, "deaths" | "trial" | "isAlone">): Member {
    const process = setup.spawn({
      message: (message) => hear(member, message),
      ended: (exit) => bury(member, exit),
    });
    const startedAt = clock.monotonic();
    const member: Member = {
      ...{ process, startedAt, deaths, trial, isAlone, runs: new Map(), groups: new Set() },
      ...{ state: "loading", heardAt: startedAt, isSuspect: false, hasWorked: false },
      ...{ fault: null, killedFor: null },
    };
    members.add(member);
    keepTicking();
    return member;
  }

  function hear(member: Member, message: FromHandlers): void {
    member.heardAt = clock.monotonic();
    switch (message.kind) {
      case "ready":
        welcome(member, message);
        break;
      case "unfit":
      case "dying":
        member.fault = message.message;
        break;
      case "news":
        pass(member.runs.get(message.run), message);
        break;
      case "ended":
        finish(member, message);
        break;
      case "group":
        if (message.isOpen) member.groups.add(message.pid);
        else member.groups.delete(message.pid);
        break;
      case "beat":
        break;
      default:
        message satisfies never;
    }
  }

  function welcome(member: Member, { types }: Extract<FromHandlers, { kind: "ready" }>): void {
    if (member.state !== "loading") return;
    member.state = "ready";
    setup.onTypes(new Map(types));
    member.trial?.(null);
    for (const wake of waiting) wake();
  }

  function bury(member: Member, exit: ProcessExit): void {
    members.delete(member);
    member.process.kill([...member.groups]); // what it has started may have outlived it
    const why = deathOf(member, exit);
    for (const run of [...member.runs.values()]) close(member, run, lastOutcome(member, run, why));
    const failedTrial = member.state === "loading" && member.trial !== null;
    if (failedTrial) member.trial?.(member.fault ?? why);
    else if (member.state !== "retired") replace(member, why);
  }

  function replace(member: Member, why: string): void {
    if (isKilled) return;
    const deaths = member.hasWorked ? 0 : member.deaths;
    const delayMs = backoffMs(RESTART, deaths);
    log.error("handlers_ended", { handlers_pid: member.process.pid, why });
    if (member.isAlone) return;
    const cancel = clock.after(delayMs, () => {
      restarts.delete(cancel);
      launch({ deaths: deaths + 1, trial: null, isAlone: false });
    });
    restarts.add(cancel);
  }

  /** Who was killed because of a neighbour has lost nothing; a crash or a silence may be anybody's fault. */
  function lastOutcome(member: Member, run: Run, why: string): Outcome {
    const isInnocent = member.killedFor === "shutdown" || member.killedFor === "overtime";
    if (isInnocent || run.context.signal.aborted) return { kind: "released", delayMs: 0 };
    return { kind: "lost", message: `The process of its handler ended: ${why}` };
  }

  function slay(member: Member, reason: NonNullable<Member["killedFor"]>): void {
    member.killedFor ??= reason;
    member.process.kill([...member.groups]);
  }

  /** Takes no more tasks, and goes with the last one that it has. */
  function retire(member: Member): void {
    member.state = "retired";
    if (member.runs.size === 0) slay(member, "shutdown");
  }

  // ---- runs

  const handler: Pool["handler"] = async (task, context) => {
    if (task.losses > 0) return verdictOf(await workAlone(task, context));
    const member = idlest() ?? (await nextReady(context.signal));
    if (member === null) return verdictOf(givenBack(context.signal));
    return verdictOf(await work(member, task, context));
  };

  const work = (member: Member, task: HandlerTask, context: RunContext): Promise<Outcome> =>
    new Promise((end) => begin(member, { task, context, end }));

  const givenBack = ({ aborted }: AbortSignal): Outcome => ({
    kind: "released",
    delayMs: aborted || isKilled ? 0 : WAIT_FOR_PROCESS_MS,
  });

  /**
   * A task that was there when a process died works in a process of its own the next time: if it was the cause, it takes no
   * neighbour with it again, and only the guilty one is lost three times.
   */
  async function workAlone(task: HandlerTask, context: RunContext): Promise<Outcome> {
    const release = await solo.acquire(context.signal);
    if (release === null) return givenBack(context.signal);
    const { promise, resolve: trial } = Promise.withResolvers<string | null>();
    try {
      const member = launch({ deaths: 0, trial, isAlone: true });
      return (await promise) === null ? await work(member, task, context) : givenBack(context.signal);
    } finally {
      release();
    }
  }

  /** Of those that are heard of, the one with the fewest tasks; one that is quiet may stand still. */
  function idlest(): Member | null {
    const now = clock.monotonic();
    let best: Member | null = null;
    for (const member of members) {
      if (member.isAlone || member.state !== "ready" || member.killedFor !== null) continue;
      if (best === null || load(member, now) < load(best, now)) best = member;
    }
    return best;
  }

  const load = ({ runs, heardAt }: Member, now: number): number =>
    runs.size + (now - heardAt > QUIET_AFTER_MS ? 1_000_000 : 0);

  /** Waits for a process; null when there is none in time, or the wait was aborted. */
  function nextReady(signal: AbortSignal): Promise<Member | null> {
    return new Promise((resolve) => {
      const look = (): void => {
        waiting.delete(look);
        signal.removeEventListener("abort", look);
        cancelTimer();
        resolve(signal.aborted ? null : idlest());
      };
      const cancelTimer = clock.after(WAIT_FOR_PROCESS_MS, look);
      waiting.add(look);
      signal.addEventListener("abort", look);
      if (signal.aborted || isKilled) look();
    });
  }

  function begin(member: Member, { task, context, end }: Pick<Run, "task" | "context" | "end">): void {
    const { signal, leaseOver } = context;
    const id = ++runsSoFar;
    const onAbort = (): void => {
      const reason = signal.reason as StopReason; // the processor's own
      run.killAt = clock.monotonic() + (reason === "cancelled" ? CANCEL_GRACE_MS : OVERTIME_MS);
      member.process.send({ kind: "stop", run: id, reason });
    };
    /** The watchdog's interval is too long for a short lease. */
    const onLeaseOver = (): void => slay(member, "overtime");
    const run: Run = {
      ...{ id, task, context, killAt: Number.POSITIVE_INFINITY },
      end: (outcome) => {
        signal.removeEventListener("abort", onAbort);
        leaseOver?.removeEventListener("abort", onLeaseOver);
        end(outcome);
      },
    };
    member.runs.set(id, run);
    const { payload: _, ...sent } = task;
    member.process.send({ kind: "run", run: id, task: sent });
    signal.addEventListener("abort", onAbort);
    leaseOver?.addEventListener("abort", onLeaseOver);
    if (signal.aborted) onAbort();
    if (leaseOver?.aborted) onLeaseOver();
  }

  function pass(run: Run | undefined, news: Extract<FromHandlers, { kind: "news" }>): void {
    if (run === undefined) return;
    if (news.progress !== null) run.context.progress(news.progress.percent, news.progress.message);
    for (const { level, message } of news.log) run.context.log(message, level);
  }

  function finish(member: Member, { run: id, outcome }: Extract<FromHandlers, { kind: "ended" }>): void {
    member.hasWorked = true;
    const run = member.runs.get(id);
    if (run !== undefined) close(member, run, outcome);
    if (member.runs.size === 0 && (member.isAlone || member.state === "retired")) retire(member);
  }

  function close(member: Member, run: Run, outcome: Outcome): void {
    member.runs.delete(run.id);
    run.end(outcome);
  }

  // ---- the watch

  function keepTicking(): void {
    if (isTicking) return;
    isTicking = true;
    clock.after(TICK_MS, () => {
      isTicking = false;
      const now = clock.monotonic();
      for (const member of members) watch(member, now);
      if (members.size > 0) keepTicking();
    });
  }

  function watch(member: Member, now: number): void {
    if (member.killedFor !== null) return;
    const { state, startedAt, heardAt } = member;
    // One that loads may be busy with that for long, and one that waits for something says that it lives all the while.
    const isPatient =
      state === "loading" ? now - startedAt <= LOADS_WITHIN_MS : now - heardAt <= SILENT_AFTER_MS;
    if ([...member.runs.values()].some(({ killAt }) => now >= killAt)) slay(member, "overtime");
    else if (isPatient) member.isSuspect = false;
    else if (member.isSuspect) slay(member, "silence");
    else member.isSuspect = true;
  }

  // ---- life

  /** The first process shows whether the module loads, and the others follow it. Resolves with what was wrong, or null. */
  async function fill(): Promise<string | null> {
    const { promise, resolve: trial } = Promise.withResolvers<string | null>();
    const first = launch({ deaths: 0, trial, isAlone: false });
    const fault = await promise;
    if (fault !== null || isKilled) return fault;
    cancelRestarts();
    for (const member of members) if (member !== first && !member.isAlone) retire(member);
    for (let others = setup.processes - 1; others > 0; others--)
      launch({ deaths: 0, trial: null, isAlone: false });
    return null;
  }

  async function start(): Promise<void> {
    const fault = await fill();
    if (fault === null) return;
    kill();
    throw new TaskError("invalid", fault);
  }

  async function reload(): Promise<void> {
    const fault = await fill();
    if (fault !== null) log.error("handlers_not_reloaded", { why: fault });
  }

  function cancelRestarts(): void {
    for (const cancel of restarts) cancel();
    restarts.clear();
  }

  function kill(): void {
    isKilled = true;
    cancelRestarts();
    for (const member of members) slay(member, "shutdown");
    for (const wake of waiting) wake();
    solo.close();
  }

  return { start, handler, reload, kill };
}

/** How a process ended, in words. */
function deathOf({ fault, killedFor, state }: Member, { code, signal }: ProcessExit): string {
  const words = fault === null ? "" : `: ${fault}`;
  if (killedFor === "silence" && state === "loading") {
    return `killed, for the module was not loaded within ${LOADS_WITHIN_MS / 1_000} s`;
  }
  if (killedFor === "silence") return `killed, for it was not heard of for ${SILENT_AFTER_MS / 1_000} s`;
  if (killedFor === "overtime") return "killed, for a task in it did not stop when its time was over";
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  return storableText(`${how}${words}`, LIMITS.messageLength);
}
