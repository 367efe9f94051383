import type { Clock } from "../core/clock.ts";
import { isEnded, type Task, type TaskId } from "../core/task.ts";
import { abortWithin, onAbort } from "../lib/waiting.ts";
import type { Change } from "../store/store.ts";
import type { ChangeFeed, NewChanges } from "./change-feed.ts";

export interface TaskWaits {
  /** The task as soon as it has ended, or as it is when the time is up or the signal aborts. */
  wait(id: TaskId, withinMs: number, signal: AbortSignal): Promise<Task>;
  /** Answers all waits at once, also later ones. */
  release(): void;
}

type Waiter = { turn: PromiseWithResolvers<void>; isOver: boolean };

/**
 * Waits for the end of tasks. The change feed wakes exactly the waits whose task has ended or was deleted, and they share the read
 * that follows: a thousand waits for one task cost the store as much as one.
 */
export function createTaskWaits(setup: {
  readonly feed: ChangeFeed;
  /** Rejects with `not_found`. */
  readonly get: (id: TaskId) => Promise<Task>;
  readonly clock: Clock;
}): TaskWaits {
  const waiting = new Map<TaskId, Set<Waiter>>();
  let unlisten = (): void => undefined;
  let isReleased = false;

  async function wait(id: TaskId, withinMs: number, signal: AbortSignal): Promise<Task> {
    const waiter = enter(id);
    const limit = abortWithin(setup.clock, withinMs, signal);
    onAbort(limit.signal, () => over(waiter));
    if (withinMs === 0 || isReleased) limit.abort();
    try {
      return await readUntilEnded(id, waiter);
    } finally {
      limit.unlink();
      leave(id, waiter);
    }
  }

  async function readUntilEnded(id: TaskId, waiter: Waiter): Promise<Task> {
    for (;;) {
      const { isOver, turn } = waiter; // taken before the read, so that no wake-up is missed
      const task = await setup.get(id);
      if (isOver || isEnded(task)) return task;
      await turn.promise;
    }
  }

  function enter(id: TaskId): Waiter {
    const waiter = { turn: Promise.withResolvers<void>(), isOver: false };
    if (waiting.size === 0) unlisten = setup.feed.listen(onChanges);
    const ofTask = waiting.get(id);
    if (ofTask === undefined) waiting.set(id, new Set([waiter]));
    else ofTask.add(waiter);
    return waiter;
  }

  function leave(id: TaskId, waiter: Waiter): void {
    const ofTask = waiting.get(id);
    ofTask?.delete(waiter);
    if (ofTask?.size === 0) waiting.delete(id);
    if (waiting.size === 0) unlisten();
  }

  function onChanges({ changes, missed }: NewChanges): void {
    if (missed) forAll(wake);
    for (const change of changes) if (isEnd(change)) waiting.get(change.id)?.forEach(wake);
  }

  function forAll(action: (waiter: Waiter) => void): void {
    for (const ofTask of waiting.values()) ofTask.forEach(action);
  }

  return {
    wait,
    release: () => {
      isReleased = true;
      forAll(over);
    },
  };
}

const isEnd = ({ kind, status }: Change): boolean =>
  kind === "deleted" || (status !== "pending" && status !== "running");

function wake(waiter: Waiter): void {
  waiter.turn.resolve();
  waiter.turn = Promise.withResolvers<void>();
}

function over(waiter: Waiter): void {
  waiter.isOver = true;
  wake(waiter);
}
