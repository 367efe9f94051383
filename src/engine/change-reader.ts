import type { ChangePage, Position, TaskStore } from "../store/store.ts";
import { type ChangeFeed, READ_AT_MOST } from "./change-feed.ts";

/** Reads the change log from a position on, at its own pace. */
export interface ChangeReader {
  /**
   * The next changes, as soon as there are some; null once the reader is closed. While the log cannot be read it waits. `gone` means
   * that changes were missed; the reader continues from the position of that page.
   */
  next(): Promise<ChangePage | null>;
  close(): void;
}

/** Reads the log itself until it has caught up with the feed, then follows the feed: no gap between the two, and no polling of its own. */
export function createChangeReader(
  { feed, store }: { readonly feed: ChangeFeed; readonly store: Pick<TaskStore, "changes"> },
  from: Position,
): ChangeReader {
  let position = from;
  let isClosed = false;
  let turn = Promise.withResolvers<void>();

  const wake = (): void => {
    turn.resolve();
    turn = Promise.withResolvers<void>();
  };
  const unlisten = feed.listen(wake);

  async function next(): Promise<ChangePage | null> {
    while (!isClosed) {
      const nextTurn = turn.promise; // taken before the read, so that no wake-up is missed
      const page = feed.recent(position, READ_AT_MOST) ?? (await readLog());
      if (page !== null && !isClosed) {
        position = page.position;
        if (page.kind === "gone" || page.changes.length > 0) return page;
      }
      if (!isClosed) await nextTurn;
    }
    return null;
  }

  /** Null if it cannot be read: the feed has logged that, and wakes this reader when it can read again. */
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
