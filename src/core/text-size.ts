import type { Parts, Task } from "./task.ts";

/**
 * The upper bound of one answer of a store, in bytes of task text: `claim`, a page of `list` and `get`. An answer goes on while
 * the tasks in it are below the bound, so it exceeds the bound by one task at most, and a task of any size comes alone. A store
 * may count characters, UTF-8 bytes or an estimate in place of `textSize`, and may end an answer earlier, but not below
 * ANSWER_LEAST_BYTES.
 */
export const ANSWER_BYTES = 8 * 1_048_576;
/** Tasks of fewer characters than this in all fit into one answer of every store. */
export const ANSWER_LEAST_BYTES = 1_048_576;

/** What an answer may carry of a task; the fields that it leaves out count nothing. */
type Texts = Pick<Task, "name"> & Partial<Pick<Task, "description" | "payload" | "result" | "attempts">>;

/** All fields but the texts, written as JSON. */
const OTHER_FIELDS = 500;
/** Numbers and names of members of one attempt, written as JSON. */
const OTHER_ATTEMPT_FIELDS = 200;

/**
 * About how many characters these parts of the task take in an answer. It is counted for each task that is handed out, so
 * nothing is encoded for it.
 */
export function textSize(task: Texts, parts: Parts = "whole"): number {
  if (parts === "head") return OTHER_FIELDS;
  let size = OTHER_FIELDS + task.name.length + (task.description?.length ?? 0);
  for (const { error, worker } of task.attempts ?? []) {
    size += OTHER_ATTEMPT_FIELDS + worker.length;
    if (error !== null) size += error.code.length + error.message.length;
  }
  return parts === "light" ? size : size + (task.payload?.length ?? 0) + (task.result?.length ?? 0);
}
