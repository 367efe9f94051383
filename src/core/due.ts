/** Which tasks are due. */
import type { LightTask } from "./task.ts";

/** Whether a claim may take the task: pending and due. The caller compares the type. */
export const isClaimable = <T extends LightTask>(
  task: T,
  now: number,
): task is Extract<T, { status: "pending" }> => task.status === "pending" && task.runAt <= now;

/** Whether the change that led to this state has made the task due at once. */
export const isMadeDue = (task: LightTask): boolean => isClaimable(task, task.updatedAt);

/** The types of tasks that a change has made due, each with the number of these tasks. Waiting workers of these types are woken. */
export type DueTypes = ReadonlyMap<string, number>;

export function dueTypes(changed: readonly LightTask[]): DueTypes {
  const types = new Map<string, number>();
  for (const task of changed) {
    if (isMadeDue(task)) types.set(task.type, (types.get(task.type) ?? 0) + 1);
  }
  return types;
}

export const NONE_DUE: DueTypes = new Map();

/**
 * Whether a step takes a lease from its worker, or asks the worker to stop: anything but a claim, a heartbeat and the outcome that the worker
 * reports.
 */
export function mayRevoke(from: LightTask, to: LightTask): boolean {
  if (from.lease === null) return false;
  if (to.lease !== null) return to.lease.revokeAt !== from.lease.revokeAt;
  const outcome = to.attempts.at(-1)?.outcome;
  return outcome !== "done" && outcome !== "failed" && outcome !== "released";
}
