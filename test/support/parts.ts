import type { LightTask, Parts, Task, TaskHead } from "../../src/core/task.ts";

export type AnyParts = Task | LightTask | TaskHead;

/** The light task of a whole task, as it comes from a store that does not have whole tasks in memory. */
export function lightOf({ payload: _payload, result: _result, ...light }: Task): LightTask {
  return light;
}

function headOf(task: TaskHead): TaskHead {
  const { id, version, status, type, priority, key, token, attempt, claims, lease } = task;
  return { id, version, status, type, priority, key, token, attempt, claims, lease };
}

/** These parts of an answer: a store that has whole tasks in memory may answer with more than the requested parts. */
export function cutTo(parts: Parts, task: AnyParts): AnyParts {
  if (parts === "whole") return task;
  return parts === "head" ? headOf(task) : lightOf(task as Task); // the task may be light already
}
