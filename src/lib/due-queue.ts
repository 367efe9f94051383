/**
 * Many things that are due at some time, with one timer of the clock for all of them. A timer and a callback for each would take
 * several hundred bytes: here an entry takes one small object. The order is a binary heap, so adding and removing cost a few
 * comparisons for any number of entries.
 */
import type { Timers } from "./waiting.ts";

export interface DueQueue<T> {
  /** `onDue` gets the member once, no sooner than `delayMs` from now, unless the entry is removed first. */
  add(member: T, delayMs: number): Due<T>;
  /** No effect if the member was due, or the entry was removed already. */
  remove(entry: Due<T>): void;
}

/** A member in the queue. Only the queue changes it. */
export type Due<T> = {
  readonly member: T;
  readonly dueAt: number;
  /** Entries that are due at the same time are served in the order in which they were added. */
  readonly order: number;
  /** Its index in the heap; GONE if it is not in the queue. */
  at: number;
};

const GONE = -1;
/** Entries that are served in one turn of the event loop: with handlers that do little, about a millisecond. */
const SERVED_AT_ONCE = 128;

export function createDueQueue<T>(setup: {
  /** `monotonic`: milliseconds since some start; never goes back. So a change of the wall clock makes no entry early or late. */
  readonly clock: Timers & { monotonic(): number };
  readonly onDue: (member: T) => void;
}): DueQueue<T> {
  const { clock, onDue } = setup;
  const heap: Due<T>[] = [];
  let added = 0;
  let isServing = false;
  let timerDueAt = Number.POSITIVE_INFINITY;
  let cancelTimer = (): void => undefined;

  function add(member: T, delayMs: number): Due<T> {
    const dueAt = clock.monotonic() + Math.max(0, delayMs);
    const entry: Due<T> = { member, dueAt, order: added++, at: heap.length };
    heap.push(entry);
    rise(entry);
    setTimer();
    return entry;
  }

  function remove(entry: Due<T>): void {
    const { at } = entry;
    if (at === GONE) return;
    entry.at = GONE;
    const last = heap.pop();
    if (last !== undefined && last !== entry) {
      put(last, at);
      rise(last);
      sink(last);
    }
    setTimer();
  }

  /** A member that throws does not keep the others from being served. */
  function serve(): void {
    timerDueAt = Number.POSITIVE_INFINITY;
    isServing = true;
    const now = clock.monotonic();
    try {
      for (let left = SERVED_AT_ONCE; left > 0; left--) {
        const first = heap[0];
        if (first === undefined || first.dueAt > now) break;
        remove(first);
        onDue(first.member);
      }
    } finally {
      isServing = false;
      setTimer();
    }
  }

  /** The timer may be early, if the entry that it was set for was removed. None is set for an empty queue: it would keep the process alive. */
  function setTimer(): void {
    if (isServing) return;
    const dueAt = heap[0]?.dueAt ?? Number.POSITIVE_INFINITY;
    if (dueAt >= timerDueAt && heap.length > 0) return;
    cancelTimer();
    timerDueAt = dueAt;
    cancelTimer =
      heap.length === 0 ? () => undefined : clock.after(Math.max(0, dueAt - clock.monotonic()), serve);
  }

  function put(entry: Due<T>, at: number): void {
    heap[at] = entry;
    entry.at = at;
  }

  function rise(entry: Due<T>): void {
    let { at } = entry;
    while (at > 0) {
      const parent = heap[(at - 1) >> 1] as Due<T>; // within the heap
      if (!isBefore(entry, parent)) break;
      put(parent, at);
      at = (at - 1) >> 1;
    }
    put(entry, at);
  }

  function sink(entry: Due<T>): void {
    let { at } = entry;
    for (let child = 2 * at + 1; child < heap.length; child = 2 * at + 1) {
      const right = heap[child + 1];
      if (right !== undefined && isBefore(right, heap[child] as Due<T>)) child++; // within the heap
      const first = heap[child] as Due<T>;
      if (!isBefore(first, entry)) break;
      put(first, at);
      at = child;
    }
    put(entry, at);
  }

  return { add, remove };
}

const isBefore = <T>(a: Due<T>, b: Due<T>): boolean =>
  a.dueAt < b.dueAt || (a.dueAt === b.dueAt && a.order < b.order);
