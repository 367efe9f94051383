import type { Clock } from "../core/clock.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createSleeper, type Sleeper } from "../lib/waiting.ts";
import type { Change, ChangePage, CommitNotice, Position, TaskStore, WatcherNeeds } from "../store/store.ts";

/** The result of one read; it may be empty. */
export type NewChanges = {
  /** In the order of the log, none twice. */
  readonly changes: readonly Change[];
  /** Whether there may be more changes than these: at the first read, and when the log no longer reached back to the last read. */
  readonly missed: boolean;
};

/**
 * The end of the change log, read once for all listeners of this process: when the store notifies of a commit, and at least once a
 * second. It is not read while there is no listener.
 */
export interface ChangeFeed {
  /**
   * Calls the listener for every read from now on; the first successful one may have `missed` changes. Returns a function that ends this.
   * While all listeners need only revocations, the log is not read for commits that can revoke nothing.
   */
  listen(listener: (read: NewChanges) => void, needs?: FeedNeeds): () => void;
  /**
   * The changes after a position, as far as the feed has read and remembers them; none if the position is the feed's own or ahead of
   * it. Null if they must be read from the log.
   */
  recent(after: Position, limit: number): Extract<ChangePage, { kind: "changes" }> | null;
  close(): void;
}

export type FeedNeeds = "every" | "revocations";

/** A notification waits this long for others, so that a busy store is not read after each commit. */
const GATHER_MS = 10;
const POLL_MS = 1_000;
export const READ_AT_MOST = 1_000;
/** A reader that was busy for a moment finds its changes here. They take some hundred kilobytes. */
const REMEMBERED = 4_096;

type Session = {
  /** Null until the first read. */
  position: Position | null;
  /** All changes from after `since` to the position. */
  remembered: Change[];
  since: number;
  isOver: boolean;
  /** A notification has come since the latest read began. */
  isNotified: boolean;
  isAway: boolean;
  needs: WatcherNeeds | null;
  unwatch: () => void;
  readonly sleeper: Sleeper;
};

export function createChangeFeed(setup: {
  readonly store: Pick<TaskStore, "changes" | "watch">;
  readonly clock: Clock;
  readonly log: Log;
}): ChangeFeed {
  const { store, clock, log } = setup;
  const listeners = new Map<(read: NewChanges) => void, FeedNeeds>();
  let session: Session | null = null;
  let isClosed = false;

  function listen(listener: (read: NewChanges) => void, needs: FeedNeeds = "every"): () => void {
    if (isClosed) return () => undefined;
    listeners.set(listener, needs);
    if (session === null) session = begin();
    else watch(session);
    return () => {
      if (!listeners.delete(listener)) return;
      if (listeners.size === 0) end();
      else if (session !== null) watch(session);
    };
  }

  const needsEvery = (): boolean => [...listeners.values()].includes("every");

  /** Watches the store for what the listeners need now. */
  function watch(current: Session): void {
    const needs = needsEvery() ? "every" : "due";
    if (current.needs === needs) return;
    const unwatch = store.watch((_due, notice) => notified(current, notice), needs);
    current.unwatch(); // afterwards, so that no commit is missed
    current.unwatch = unwatch;
    current.needs = needs;
  }

  function begin(): Session {
    const begun: Session = {
      position: null,
      remembered: [],
      since: 0,
      isOver: false,
      isNotified: false,
      isAway: false,
      needs: null,
      unwatch: () => undefined,
      sleeper: createSleeper(clock),
    };
    watch(begun);
    void follow(begun);
    return begun;
  }

  function end(): void {
    if (session === null) return;
    session.isOver = true;
    session.unwatch();
    session.sleeper.wake();
    session = null;
  }

  function notified(current: Session, notice?: CommitNotice): void {
    if (notice?.mayRevoke === false && !needsEvery()) return;
    if (current.isNotified) return; // a read is coming, and a busy store notifies thousands of times before it
    current.isNotified = true;
    current.sleeper.wake(GATHER_MS);
  }

  async function follow(current: Session): Promise<void> {
    let delayMs = 0;
    for (;;) {
      await current.sleeper.sleep(delayMs);
      if (current.isOver) return;
      current.isNotified = false;
      const isMore = await readSome(current);
      if (current.isOver) return;
      delayMs = isMore || current.isNotified ? GATHER_MS : POLL_MS;
    }
  }

  /** True if the read had changes: there may soon be more. */
  async function readSome(current: Session): Promise<boolean> {
    const page = await store.changes(current.position, READ_AT_MOST).catch((error: unknown) => {
      if (!current.isAway) log.warn("changes_failed", { error: errorText(error) });
      current.isAway = true;
      return null;
    });
    if (page === null || current.isOver) return false;
    if (current.isAway) log.info("changes_read_again");
    current.isAway = false;
    callListeners(take(current, page));
    return page.kind === "gone" || page.changes.length > 0;
  }

  function take(current: Session, page: ChangePage): NewChanges {
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

  function callListeners(read: NewChanges): void {
    for (const listener of listeners.keys()) listener(read);
  }

  return {
    listen,
    recent: (after, limit) => (session === null ? null : recentIn(session, after, limit)),
    close: () => {
      isClosed = true;
      listeners.clear();
      end();
    },
  };
}

/** The list grows by a quarter before its beginning is cut off: a copy of the whole list for each page took longer than the read. */
function remember(session: Session, changes: readonly Change[]): void {
  for (const change of changes) session.remembered.push(change);
  const forgotten = session.remembered.length - REMEMBERED;
  if (forgotten < REMEMBERED / 4) return;
  session.since = session.remembered[forgotten - 1]?.rev ?? session.since;
  session.remembered = session.remembered.slice(forgotten);
}

function recentIn({ position, remembered, since }: Session, after: Position, limit: number) {
  if (position === null || after.epoch !== position.epoch || after.rev < since) return null;
  const from = remembered.findLastIndex(({ rev }) => rev <= after.rev) + 1;
  const changes = remembered.slice(from, from + limit);
  const isAll = from + limit >= remembered.length;
  const rev = isAll ? Math.max(after.rev, position.rev) : (changes.at(-1)?.rev ?? after.rev);
  return { kind: "changes" as const, changes, position: { epoch: position.epoch, rev } };
}
