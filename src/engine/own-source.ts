import type { Clock } from "../core/clock.ts";
import { isTaskError } from "../core/error.ts";
import type { Outcome } from "../core/outcome.ts";
import type { RunningTask, TaskId } from "../core/task.ts";
import { linkedAbort, sleep } from "../lib/waiting.ts";
import type { Ask, Beat, BeatAnswer } from "../store/store.ts";
import type { Claimed } from "./dispatch.ts";
import type { Hint } from "./revocations.ts";
import type { Workers } from "./workers.ts";

/** How often a waiting worker checks whether it was drained meanwhile, or may take tasks again. */
const CHECK_EVERY_MS = 1_000;
/**
 * Revocations are listened for while tasks have run for this long, and for some time after the last one. So a process that is idle, or whose tasks
 * take milliseconds, does not read the change log.
 */
const LISTEN_AFTER_MS = 200;
const LISTEN_FOR_MS = 5_000;

/**
 * The engine as the source of tasks for the server's own processor. Remote workers get a drain request with the answers to their calls.
 * The processor makes no such calls, so this source gives it no tasks while it is drained.
 */
export function createOwnSource(engine: Workers, clock: Clock) {
  const held = createHeld(engine, clock);

  async function claim(ask: Ask, signal: AbortSignal): Promise<Claimed> {
    while (!signal.aborted) {
      if (await engine.isDraining(ask.worker)) {
        await sleep(clock, CHECK_EVERY_MS, signal);
        continue;
      }
      const claimed = await claimUntilDrained(ask, signal);
      held.add(claimed.tasks);
      if (claimed.tasks.length > 0) return claimed;
    }
    return { tasks: [], leasedAt: clock.monotonic() };
  }

  /** No tasks if the worker was drained, or the signal has aborted. */
  async function claimUntilDrained(ask: Ask, signal: AbortSignal): Promise<Claimed> {
    const waiting = linkedAbort(signal);
    let cancelCheck = clock.after(CHECK_EVERY_MS, check);
    async function check(): Promise<void> {
      if (await engine.isDraining(ask.worker)) waiting.abort();
      else if (!waiting.signal.aborted) cancelCheck = clock.after(CHECK_EVERY_MS, check);
    }
    try {
      return await engine.claimOwn(ask, waiting.signal);
    } finally {
      waiting.abort();
      cancelCheck();
      waiting.unlink();
    }
  }

  async function extend(beats: readonly Beat[]): Promise<readonly BeatAnswer[]> {
    const answers = await engine.extend(beats);
    for (const [at, { id, token }] of beats.entries()) if (answers[at] === "lost") held.delete(id, token);
    return answers;
  }

  async function settle(id: TaskId, token: string, outcome: Outcome): Promise<void> {
    try {
      await engine.settle(id, token, outcome);
    } catch (error) {
      if (!isTaskError(error, "lease_lost")) throw error; // the processor tries again
      held.delete(id, token);
      throw error;
    }
    held.delete(id, token);
  }

  return { claim, extend, settle, onRevoked: held.onRevoked };
}

/** The tasks of the processor. While there are some, it is told of changes of tasks. */
function createHeld(engine: Pick<Workers, "onRevoked">, clock: Clock) {
  const tokens = new Map<TaskId, string>();
  const listeners = new Set<(hint: Hint) => void>();
  let unlisten: (() => void) | null = null;
  let cancelTimer = (): void => undefined;

  function report(hint: Hint): void {
    for (const listener of listeners) listener(hint);
  }

  /** Earlier changes are not known: a task without a version makes the processor ask. */
  const reportAll = (): void => {
    for (const id of tokens.keys()) report({ id, version: null });
  };

  function listen(): void {
    if (tokens.size > 0) unlisten ??= engine.onRevoked(report, reportAll);
  }

  function stop(): void {
    cancelTimer();
    unlisten?.();
    unlisten = null;
  }

  function startTimer(): void {
    cancelTimer();
    if (listeners.size === 0) return;
    if (tokens.size === 0)
      cancelTimer = unlisten === null ? () => undefined : clock.after(LISTEN_FOR_MS, stop);
    else cancelTimer = unlisten === null ? clock.after(LISTEN_AFTER_MS, listen) : () => undefined;
  }

  function change(by: () => void): void {
    const wasEmpty = tokens.size === 0;
    by();
    if (wasEmpty !== (tokens.size === 0)) startTimer();
  }

  return {
    add: (tasks: readonly RunningTask[]): void =>
      change(() => {
        for (const { id, token } of tasks) tokens.set(id, token);
      }),
    delete: (id: TaskId, token: string): void =>
      change(() => {
        if (tokens.get(id) === token) tokens.delete(id);
      }),
    onRevoked: (listener: (hint: Hint) => void): (() => void) => {
      listeners.add(listener);
      startTimer();
      return () => {
        listeners.delete(listener);
        if (listeners.size === 0) stop();
      };
    },
  };
}
