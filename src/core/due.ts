/** Which tasks are due. */
import type { LightTask } from "./task.ts";

/** Whether a claim may take the task: pending and due. The caller compares the type. */
export const isClaimable = <T extends LightTask>(
  task: T,
  now: number,
): task is Extract<T, { status: "pending" }> => task.status === "pending" && task.runAt <= now;

/** Whether the change that led to this state has made the task due at once. */
export const isMadeDue = (task: LightTask): boolean => isClaimable(task, task.updatedAt);

/** The types of tasks that a change has made due. Waiting workers of these types are woken. */
export function dueTypes(changed: readonly LightTask[]): readonly string[] {
  const types: string[] = [];
  for (const task of changed) {
    if (isMadeDue(task) && !types.includes(task.type)) types.push(task.type);
  }
  return types;
}
