import { TaskError } from "../core/error.ts";

/** The refusal of `restore` if a live task holds a key of one of the records. */
export const restoredKeyTaken = (): TaskError =>
  new TaskError("key_taken", "A live task of this store has the key of a task that should be restored");
