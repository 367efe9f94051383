/**
 * What a notification says of its commits beside the types of due tasks, as one word: `:r:17:2,1`, or `:-:17:2,1` if no lease may be revoked. It has a
 * number, and of each type the number of due tasks. Processes of version 0.1.0 send no such word, and take it for the name of a type, which
 * costs a claim of a worker of all types.
 */
import type { CommitNotice } from "./store.ts";

const MARK = ":";

export const noticeWord = ({ seed, counts, mayRevoke }: CommitNotice): string =>
  `${MARK}${mayRevoke ? "r" : "-"}${MARK}${seed}${MARK}${counts.join(",")}`;

export type Notification = { readonly due: readonly string[]; readonly notice?: CommitNotice };

/** @param words the types and, unless the sender is of version 0.1.0, the word of a notice */
export function readNotification(sender: string, words: readonly string[]): Notification {
  const due = words.filter((word) => !word.startsWith(MARK));
  const word = words.find((candidate) => candidate.startsWith(MARK));
  if (word === undefined) return { due };
  const [, flag, number, counts = ""] = word.split(MARK);
  return {
    due,
    notice: {
      seed: `${sender}${MARK}${number}`,
      counts: counts.split(",").map(Number),
      mayRevoke: flag !== "-",
    },
  };
}
