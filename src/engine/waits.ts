import type { Clock } from "../core/clock.ts";
import { isEnded, type Task, type TaskId } from "../core/task.ts";
import { abortWithin, onAbort } from "../lib/waiting.ts";
import type { Change } from "../store/store.ts";
import type { Heard, Tail } from "./tail.ts";

export interface Waits {
  /** The task as soon as it has ended, or as it stands when the time is up or the signal aborts. */
  wait(id: TaskId, withinMs: number, signal: AbortSignal): Promise<Task>;
  /** From now on nobody is kept: who waits is answered at once. */
  release(): void;
}

type Waiter = { turn: PromiseWithResolvers<void>; isOver: boolean };

/**
 * Those who wait for the end of a task. The tail wakes exactly the ones whose task has ended or gone, and they share the
 * read that follows: a thousand waits for one task cost the store what one costs.
 */
export function createWaits(setup: {
  readonly tail: Tail;
  /** Rejects with `not_found`. */
  readonly get: (id: TaskId) => Promise<Task>;
  readonly clock: Clock;
}): Waits {
  const waiting = new Map<TaskId, Set<Waiter>>();
  let unlisten = (): void => undefined;
  let isReleased = false;

  async function wait(id: TaskId, withinMs: number, signal: AbortSignal): Promise<Task> {
    const waiter = enter(id);
    const limit = abortWithin(setup.clock, withinMs, signal);
    onAbort(limit.signal, () => over(waiter));
    if (withinMs === 0 || isReleased) limit.abort();
    try {
      return await lookUntilEnded(id, waiter);
    } finally {
      limit.unlink();
      leave(id, waiter);
    }
  }

  async function lookUntilEnded(id: TaskId, waiter: Waiter): Promise<Task> {
    for (;;) {
      const { isOver, turn } = waiter; // taken before the look, so that no turn is missed
      const task = await setup.get(id);
      if (isOver || isEnded(task)) return task;
      await turn.promise;
    }
  }

  function enter(id: TaskId): Waiter {
    const waiter = { turn: Promise.withResolvers<void>(), isOver: false };
    if (waiting.size === 0) unlisten = setup.tail.listen(hear);
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

  function hear({ changes, missed }: Heard): void {
    if (missed) tellAll(wake);
    for (const change of changes) if (isEnd(change)) waiting.get(change.id)?.forEach(wake);
  }

  function tellAll(tell: (waiter: Waiter) => void): void {
    for (const ofTask of waiting.values()) ofTask.forEach(tell);
  }

  return {
    wait,
    release: () => {
      isReleased = true;
      tellAll(over);
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
