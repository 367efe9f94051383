import { TaskError } from "../core/error.ts";

/** The refusal of `restore` where a live task holds a key of one of the records. */
export const restoredKeyTaken = (): TaskError =>
  new TaskError("key_taken", "A live task of this store holds the key of a task to be taken over");
