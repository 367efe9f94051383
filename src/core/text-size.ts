import type { Parts, Task } from "./task.ts";

/**
 * The upper bound of one answer of a store, in bytes of task text: `claim`, a page of `list` and `get`. A store adds tasks while
 * those in the answer are below the bound, so an answer exceeds the bound by at most one task, and a task of any size is returned
 * alone. A store may count characters, UTF-8 bytes or an estimate in place of `textSize`. It may end an answer earlier, but not
 * below ANSWER_LEAST_BYTES.
 */
export const ANSWER_BYTES = 8 * 1_048_576;
/** Tasks with fewer characters than this in total fit into one answer of every store. */
export const ANSWER_LEAST_BYTES = 1_048_576;

/** The fields of a task that an answer may contain; an absent field counts as zero. */
type Texts = Pick<Task, "name"> &
  Partial<Pick<Task, "description" | "labels" | "payload" | "result" | "attempts">>;

/** All fields except the texts, written as JSON. */
const OTHER_FIELDS = 500;
/** Numbers and member names of one attempt, written as JSON. */
const OTHER_ATTEMPT_FIELDS = 200;

/**
 * The approximate number of characters that these parts of the task take in an answer. It is counted for each task that is
 * claimed, so nothing is encoded for it.
 */
export function textSize(task: Texts, parts: Parts = "whole"): number {
  if (parts === "head") return OTHER_FIELDS;
  let size = OTHER_FIELDS + task.name.length + (task.description?.length ?? 0);
  for (const name in task.labels) size += name.length + (task.labels[name]?.length ?? 0);
  for (const { error, worker } of task.attempts ?? []) {
    size += OTHER_ATTEMPT_FIELDS + worker.length;
    if (error !== null) size += error.code.length + error.message.length;
  }
  return parts === "light" ? size : size + (task.payload?.length ?? 0) + (task.result?.length ?? 0);
}
