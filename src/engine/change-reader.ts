import type { ChangePage, Position, TaskStore } from "../store/store.ts";
import { READ_AT_MOST, type Tail } from "./tail.ts";

/** Reads the change log from a position on, at its own pace. */
export interface ChangeReader {
  /**
   * The next changes, as soon as there are some; null once the reader is closed. Where the log cannot be read it waits
   * until it can. `gone` says that changes were missed; the reader goes on from the position that comes with it.
   */
  next(): Promise<ChangePage | null>;
  close(): void;
}

/** Catches up by reading the log itself, then goes with the tail: no gap between the two, and no polling of its own. */
export function createChangeReader(
  { tail, store }: { readonly tail: Tail; readonly store: Pick<TaskStore, "changes"> },
  from: Position,
): ChangeReader {
  let position = from;
  let isClosed = false;
  let turn = Promise.withResolvers<void>();

  const wake = (): void => {
    turn.resolve();
    turn = Promise.withResolvers<void>();
  };
  const unlisten = tail.listen(wake);

  async function next(): Promise<ChangePage | null> {
    while (!isClosed) {
      const nextTurn = turn.promise; // taken before the look, so that none is missed
      const page = tail.recall(position, READ_AT_MOST) ?? (await readLog());
      if (page !== null && !isClosed) {
        position = page.position;
        if (page.kind === "gone" || page.changes.length > 0) return page;
      }
      if (!isClosed) await nextTurn;
    }
    return null;
  }

  /** Null when it cannot be read: the tail, which has logged that, is the first to know when it can. */
  const readLog = (): Promise<ChangePage | null> => store.changes(position, READ_AT_MOST).catch(() => null);

  return {
    next,
    close: () => {
      isClosed = true;
      unlisten();
      wake();
    },
  };
}
