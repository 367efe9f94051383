import type { Clock } from "../core/clock.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createSleeper, type Sleeper } from "../lib/waiting.ts";
import type { Change, ChangePage, Position, TaskStore } from "../store/store.ts";

/** What one read of the tail brought; it may be nothing. */
export type Heard = {
  /** In the order of the log, none twice. */
  readonly changes: readonly Change[];
  /** Whether more may have happened than these: at the tail's begin, and when the log went on too far for it. */
  readonly missed: boolean;
};

/**
 * The end of the change log, read once for all in this process who want to hear of changes: when the store rings, and at
 * least once a second. Nobody reads it while nobody listens.
 */
export interface Tail {
  /** Tells of every read from now on; the first one that succeeds says what else was `missed`. */
  listen(listener: (heard: Heard) => void): () => void;
  /**
   * What comes after a position, as far as the tail has read and remembers it; no changes where the position is the tail's
   * or ahead of it. Null where only the log can tell.
   */
  recall(after: Position, limit: number): Extract<ChangePage, { kind: "changes" }> | null;
  close(): void;
}

/** A ring waits this long for others, so that a busy store is not read for each commit. */
const GATHER_MS = 10;
const POLL_MS = 1_000;
export const READ_AT_MOST = 1_000;
/** So that a reader who was busy for a moment need not ask the store: some hundred kilobytes. */
const REMEMBERED = 4_096;

type Session = {
  /** Null until the first read. */
  position: Position | null;
  /** All changes from after `since` to the position. */
  remembered: readonly Change[];
  since: number;
  over: boolean;
  /** Since the latest read began. */
  rung: boolean;
  isAway: boolean;
  unwatch: () => void;
  readonly sleeper: Sleeper;
};

export function createTail(setup: {
  readonly store: Pick<TaskStore, "changes" | "watch">;
  readonly clock: Clock;
  readonly log: Log;
}): Tail {
  const { store, clock, log } = setup;
  const listeners = new Set<(heard: Heard) => void>();
  let session: Session | null = null;
  let closed = false;

  function listen(listener: (heard: Heard) => void): () => void {
    if (closed) return () => undefined;
    listeners.add(listener);
    session ??= begin();
    return () => {
      if (listeners.delete(listener) && listeners.size === 0) end();
    };
  }

  function begin(): Session {
    const begun: Session = {
      position: null,
      remembered: [],
      since: 0,
      over: false,
      rung: false,
      isAway: false,
      unwatch: store.watch(() => ring(begun)),
      sleeper: createSleeper(clock),
    };
    void follow(begun);
    return begun;
  }

  function end(): void {
    if (session === null) return;
    session.over = true;
    session.unwatch();
    session.sleeper.wake();
    session = null;
  }

  function ring(rung: Session): void {
    if (rung.rung) return; // a read is coming, and a busy store rings thousands of times before it
    rung.rung = true;
    rung.sleeper.wake(GATHER_MS);
  }

  async function follow(current: Session): Promise<void> {
    let delayMs = 0;
    for (;;) {
      await current.sleeper.sleep(delayMs);
      if (current.over) return;
      current.rung = false;
      const isMore = await readSome(current);
      if (current.over) return;
      delayMs = isMore || current.rung ? GATHER_MS : POLL_MS;
    }
  }

  /** True when there was something to read, so that there may soon be more. */
  async function readSome(current: Session): Promise<boolean> {
    const page = await store.changes(current.position, READ_AT_MOST).catch((error: unknown) => {
      if (!current.isAway) log.warn("changes_failed", { error: errorText(error) });
      current.isAway = true;
      return null;
    });
    if (page === null || current.over) return false;
    if (current.isAway) log.info("changes_read_again");
    current.isAway = false;
    tell(take(current, page));
    return page.kind === "gone" || page.changes.length > 0;
  }

  function take(current: Session, page: ChangePage): Heard {
    const isFirst = current.position === null;
    current.position = page.position;
    if (isFirst || page.kind === "gone") {
      current.since = page.position.rev;
      current.remembered = [];
      return { changes: [], missed: true };
    }
    remember(current, page.changes);
    return { changes: page.changes, missed: false };
  }

  function remember(current: Session, changes: readonly Change[]): void {
    if (changes.length === 0) return;
    const all = [...current.remembered, ...changes];
    const forgotten = all.length - REMEMBERED;
    current.since = all[forgotten - 1]?.rev ?? current.since;
    current.remembered = forgotten > 0 ? all.slice(forgotten) : all;
  }

  function tell(heard: Heard): void {
    for (const listener of listeners) listener(heard);
  }

  function recall(after: Position, limit: number) {
    if (session === null || session.position === null) return null;
    const { position, remembered, since } = session;
    if (after.epoch !== position.epoch || after.rev < since) return null;
    const from = remembered.findLastIndex(({ rev }) => rev <= after.rev) + 1;
    const changes = remembered.slice(from, from + limit);
    const isAll = from + limit >= remembered.length;
    const rev = isAll ? Math.max(after.rev, position.rev) : (changes.at(-1)?.rev ?? after.rev);
    return { kind: "changes" as const, changes, position: { epoch: position.epoch, rev } };
  }

  return {
    listen,
    recall,
    close: () => {
      closed = true;
      listeners.clear();
      end();
    },
  };
}
