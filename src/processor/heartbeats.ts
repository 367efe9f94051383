/** Heartbeats renew leases and carry progress and log lines. */
import type { Clock } from "../core/clock.ts";
import { LIMITS } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import { sleep } from "../lib/waiting.ts";
import type { LeaseTiming } from "./lease-timing.ts";
import type { Run, StopRun } from "./run.ts";
import type { Heartbeat, TaskSource } from "./source.ts";

const HEARTBEATS_AT_MOST = 1_000;
/** The delay after a failed heartbeat. */
const RETRY_AFTER_MS = 1_000;
/** Progress reaches the store at most this often; a heartbeat is due anyway every third of a lease. */
const PROGRESS_EVERY_MS = 1_000;

export interface Heartbeats {
  /** The runs with progress or log lines that have not been sent. */
  readonly unsent: ReadonlySet<Run>;
  /** The run has new progress or log lines: its next heartbeat is due soon. */
  reported(run: Run): void;
  /** Sends one heartbeat for each run, in requests of limited size. Never rejects. */
  sendAll(runs: readonly Run[]): Promise<void>;
  /** Sends the heartbeats in one request. True when the source has answered; never rejects. */
  send(runs: readonly Run[]): Promise<boolean>;
  /** The run has ended. */
  forget(run: Run): void;
}

export function createHeartbeats(setup: {
  readonly source: TaskSource;
  readonly timing: LeaseTiming;
  readonly stopRun: StopRun;
  readonly clock: Clock;
  readonly log: Log;
}): Heartbeats {
  const { source, timing, stopRun, clock, log } = setup;
  const unsent = new Set<Run>();

  async function sendAll(runs: readonly Run[]): Promise<void> {
    for (const run of runs) run.isSending = true;
    for (let at = 0; at < runs.length; at += HEARTBEATS_AT_MOST) {
      await send(runs.slice(at, at + HEARTBEATS_AT_MOST));
      await sleep(clock, 0); // so that a hundred thousand heartbeats do not block the event loop
    }
  }

  async function send(runs: readonly Run[]): Promise<boolean> {
    const sentAt = clock.monotonic();
    const sent = runs.map((run) => takeHeartbeat(run, sentAt));
    try {
      const answers = await source.extend(sent);
      for (const [at, run] of runs.entries()) onAnswer(run, answers[at], sentAt);
      return true;
    } catch (error) {
      log.warn("heartbeat_failed", { leases: sent.length, error: errorText(error) });
      for (const [at, run] of runs.entries()) onFailure(run, sent[at]);
      return false;
    } finally {
      for (const run of runs) run.isSending = false;
    }
  }

  function takeHeartbeat(run: Run, sentAt: number): Heartbeat {
    const taken = { id: run.task.id, token: run.task.token, progress: run.progress, log: run.log };
    run.progress = null;
    run.log = [];
    unsent.delete(run);
    run.heartbeatSentAt = sentAt;
    run.heartbeatDueAt = sentAt + timing.renewEveryMs;
    return taken;
  }

  function onAnswer(run: Run, answer: "ok" | "cancel" | "lost" | undefined, sentAt: number): void {
    if (answer === "lost") stopRun(run, "lost");
    else renew(run, sentAt + timing.leaseMs);
    if (answer === "cancel") stopRun(run, "cancelled");
  }

  /** Ignores the answer to a heartbeat from before a suspension: the process has assumed a later end of the lease since (`isAsking`). */
  function renew(run: Run, leaseEndsAt: number): void {
    if (leaseEndsAt < run.leaseEndsAt) return;
    run.leaseEndsAt = leaseEndsAt;
    run.isAsking = false;
  }

  /** The next heartbeat repeats the content of the failed one. Newer progress replaces the old progress. */
  function onFailure(run: Run, failed: Heartbeat | undefined): void {
    run.progress ??= failed?.progress ?? null;
    run.log = [...(failed?.log ?? []), ...run.log].slice(-LIMITS.logLinesKept);
    run.heartbeatDueAt = clock.monotonic() + Math.min(RETRY_AFTER_MS, timing.renewEveryMs);
    unsent.add(run);
  }

  return {
    unsent,
    reported: (run) => {
      run.heartbeatDueAt = Math.min(run.heartbeatDueAt, run.heartbeatSentAt + PROGRESS_EVERY_MS);
      unsent.add(run);
    },
    sendAll,
    send,
    forget: (run) => void unsent.delete(run),
  };
}
