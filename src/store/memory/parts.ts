/** The parts of a memory store; the files beside this one read and write them. */
import type { Task } from "../../core/task.ts";
import type { ChangeKind } from "../store.ts";
import type { Documents } from "./documents.ts";
import type { Logs } from "./logs.ts";
import type { Requests } from "./requests.ts";
import type { Rows } from "./rows.ts";

export type StoreParts = {
  readonly rows: Rows;
  readonly logs: Logs;
  readonly documents: Documents;
  readonly requests: Requests;
  /** Writes the changes of one call to the change log and wakes the watchers. */
  readonly publish: (changed: readonly Task[], kind: ChangeKind) => void;
};
