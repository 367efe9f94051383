/** Pending tasks: one lane for each type and priority, in the order in which its tasks are claimed. */
import { isClaimable } from "../../core/due.ts";
import { claimOrder, type PendingTask, takesType } from "../../core/task.ts";
import { createSorted, type Sorted } from "../../lib/sorted.ts";

export type Lane = Sorted<PendingTask>;

export interface Lanes {
  add(task: PendingTask): void;
  remove(task: PendingTask): void;
  /** The lanes of these types whose first task is due, the one with the best first task first. */
  due(patterns: readonly string[], now: number): Sorted<Lane>;
  /** The earliest `runAt` of a type's pending tasks; null if it has none. */
  oldestRunAt(type: string): number | null;
  /** How many due tasks of its type are claimed before this one, counted up to `atMost`. */
  positionOf(task: PendingTask, now: number, atMost: number): number;
}

export function createLanes(): Lanes {
  const byType = new Map<string, Map<number, Lane>>(); // type → priority → lane

  function laneFor(task: PendingTask): Lane {
    const ofType = byType.get(task.type) ?? new Map<number, Lane>();
    byType.set(task.type, ofType);
    const lane = ofType.get(task.priority) ?? createSorted<PendingTask>(claimOrder);
    ofType.set(task.priority, lane);
    return lane;
  }

  function remove(task: PendingTask): void {
    const lane = laneFor(task);
    lane.remove(task);
    if (lane.size > 0) return;
    const ofType = byType.get(task.type);
    ofType?.delete(task.priority);
    if (ofType?.size === 0) byType.delete(task.type);
  }

  function due(patterns: readonly string[], now: number): Sorted<Lane> {
    const lanes = createSorted<Lane>((a, b) => claimOrder(firstOf(a), firstOf(b)));
    for (const type of pendingTypes(patterns)) {
      for (const lane of byType.get(type)?.values() ?? []) if (isDue(lane, now)) lanes.add(lane);
    }
    return lanes;
  }

  /** All types are compared only if a pattern can match several. */
  function pendingTypes(patterns: readonly string[]): Iterable<string> {
    const prefixes = patterns.filter(isPrefix);
    const exact = new Set(patterns.filter((pattern) => !isPrefix(pattern)));
    if (prefixes.length === 0) return exact;
    return [...byType.keys()].filter(
      (type) => exact.has(type) || prefixes.some((prefix) => takesType(prefix, type)),
    );
  }

  function oldestRunAt(type: string): number | null {
    const times = [...(byType.get(type)?.values() ?? [])].map((lane) => firstOf(lane).runAt);
    return times.length === 0 ? null : Math.min(...times);
  }

  function positionOf(task: PendingTask, now: number, atMost: number): number {
    let before = 0;
    for (const lane of byType.get(task.type)?.values() ?? []) {
      if (before >= atMost) break;
      before += aheadIn(lane, task, { now, atMost: atMost - before });
    }
    return before;
  }

  return { add: (task) => laneFor(task).add(task), remove, due, oldestRunAt, positionOf };
}

const isPrefix = (pattern: string): boolean => pattern.endsWith("*");

/** The first task of a lane that is not empty: an empty lane is removed. */
export const firstOf = (lane: Lane): PendingTask => lane.first() as PendingTask;

export function isDue(lane: Lane, now: number): boolean {
  const first = lane.first();
  return first !== undefined && isClaimable(first, now);
}

/** How many tasks of the lane are due and before the task; reads no more of them. */
function aheadIn(lane: Lane, task: PendingTask, { now, atMost }: { now: number; atMost: number }): number {
  let before = 0;
  for (const other of lane.from(null)) {
    if (before === atMost || !isClaimable(other, now) || claimOrder(other, task) >= 0) break;
    before++;
  }
  return before;
}
