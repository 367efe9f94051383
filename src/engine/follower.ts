/**
 * Work that follows the change log: each change is handled at least once, in order, by one process of all on the store. The
 * process that holds the leased position reads the log page by page and hands each page to `handle`; the position advances
 * after that. A process that dies loses nothing: the next holder begins after the last page that was handled.
 */
import type { Clock } from "../core/clock.ts";
import { createBackoff } from "../lib/backoff.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createLoop } from "../lib/loop.ts";
import type { Service } from "../lib/service.ts";
import { linkedAbort, onAbort, sleep } from "../lib/waiting.ts";
import type { Change, ChangePage, Position, TaskStore } from "../store/store.ts";
import { createLeasedPosition, type PositionLease } from "./leased-position.ts";
import type { Maintenance } from "./maintenance.ts";
import type { Watchers } from "./watchers.ts";

export type FollowerSetup = {
  /** Names the position in the store, and begins the names of the log events: `<name>_failed`, `_go_on`, `_missed`, `_new_epoch`. */
  readonly name: string;
  /** Names this process among those on the store. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly engine: Pick<Watchers, "follow" | "position"> & Pick<Maintenance, "now">;
  readonly store: Pick<TaskStore, "changes" | "readDocuments" | "writeDocuments">;
  readonly clock: Clock;
  readonly log: Log;
  readonly handle: Handle;
};

/**
 * Handles one page of changes, oldest first; one call at a time. Resolves with whether there was anything to do: if not, the
 * position is written with the next renewal of the lease only. A rejection ends the lease, and the page comes again after a
 * back-off, here or in another process.
 * @param signal aborts when the lease is over or the service stops: another process may then handle the same page
 * @param assertHeld throws if the lease is over; call it after a wait, right before an effect on the outside world. A process that was
 * frozen learns it here before `signal` aborts.
 */
export type Handle = (
  changes: readonly Change[],
  signal: AbortSignal,
  assertHeld: () => void,
) => Promise<boolean>;

type Gone = Extract<ChangePage, { kind: "gone" }>;

/** Between two pages, so that the changes of a busy store cost twenty writes of the position a second, not a thousand. */
const GATHER_MS = 50;
const RETRY = { firstMs: 500, longestMs: 5_000 };

/** Its `stop` handles the changes up to that moment, for `withinMs` at most, and releases the position. */
export function createFollower(setup: FollowerSetup): Service {
  const { name, engine, clock, log } = setup;
  const leased = createLeasedPosition({ ...setup, end: engine.position, now: engine.now });
  const stopping = new AbortController();
  const backoff = createBackoff(RETRY);
  let position: Position | null = null; // while this process holds the lease
  let lastPosition: Position | null = null; // nothing after it is handled once the service stops

  const following = createLoop({
    after: clock.after,
    round: async () => {
      const lease = await leased.take();
      if (typeof lease === "number") return lease;
      try {
        await followUnder(lease);
      } finally {
        position = null;
        await lease.release();
      }
      return RETRY.firstMs; // the lease was lost
    },
    onError: (error) => {
      if (backoff.failures === 0 && !stopping.signal.aborted) {
        log.warn(`${name}_failed`, { error: errorText(error) });
      }
      return backoff.failed();
    },
  });

  /** Handles pages until the lease is over or the service stops; rejects when `handle` or the store does. */
  async function followUnder(lease: PositionLease): Promise<void> {
    const over = linkedAbort(lease.over, stopping.signal);
    logMove(setup, lease);
    try {
      for (let from: Position | null = lease.position; from !== null; ) {
        from = await followFrom(from, lease, over.signal);
      }
    } finally {
      over.unlink();
    }
  }

  /** The position to continue from if the log does not reach back to the last position; null when the lease is over. */
  async function followFrom(
    from: Position,
    lease: PositionLease,
    over: AbortSignal,
  ): Promise<Position | null> {
    const reader = engine.follow(from);
    const unlisten = onAbort(over, reader.close);
    moveTo(from);
    try {
      for (let page = await reader.next(); page !== null; page = await reader.next()) {
        if (page.kind === "gone") return await skip(page, lease);
        await handlePage(page, lease, over);
        moveTo(page.position);
        await sleep(clock, GATHER_MS, over);
      }
      return null;
    } finally {
      unlisten();
      reader.close();
    }
  }

  async function handlePage(
    page: Exclude<ChangePage, Gone>,
    lease: PositionLease,
    over: AbortSignal,
  ): Promise<void> {
    const isDone = await setup.handle(page.changes, over, () => {
      if (!lease.isHeld()) throw new Error(`the lease of the position ${name} is over`);
    });
    if (!isDone) return lease.pass(page.position);
    if (backoff.failures > 0) log.info(`${name}_go_on`);
    backoff.reset();
    await lease.advance(page.position);
  }

  /**
   * In a new epoch the lease is taken again, because that finds the position to continue from. Changes that the log no longer
   * has are skipped.
   */
  async function skip(page: Gone, lease: PositionLease): Promise<Position | null> {
    if (page.position.epoch !== lease.position.epoch) {
      lease.abandon();
      return null;
    }
    logMissed(setup, lease.position, page.oldest);
    await lease.advance(page.oldest);
    return page.oldest;
  }

  function moveTo(next: Position): void {
    position = next;
    if (lastPosition !== null && isReached(next, lastPosition)) stopping.abort();
  }

  /** Returns at once if another process holds the lease, or if the end of the log cannot be read. */
  async function aimForEnd(): Promise<void> {
    if (position !== null) lastPosition = await engine.position().catch(() => position);
    if (position === null) stopping.abort();
    else moveTo(position);
  }

  return {
    name,
    start: async () => {
      await leased.mark();
      following.start();
    },
    stop: async (withinMs) => {
      void aimForEnd();
      await sleep(clock, withinMs, stopping.signal);
      stopping.abort();
      await following.stop();
    },
  };
}

type LogSetup = Pick<FollowerSetup, "name" | "log">;

/** Some changes are handled twice then. If the store lost its latest writes, some handled changes are no longer in the log. */
function logMove({ name, log }: LogSetup, { movedFrom, position: { rev } }: PositionLease): void {
  if (movedFrom === null) return;
  log.warn(`${name}_new_epoch`, {
    message: "The store was restarted, or another server took over: the latest changes are handled again",
    after_rev: movedFrom.rev,
    from_rev: rev,
  });
}

function logMissed({ name, log }: LogSetup, handled: Position, oldest: Position): void {
  log.warn(`${name}_missed`, {
    message:
      "The change log does not reach back to the last change that was handled: its oldest change comes next",
    after_rev: handled.rev,
    up_to_rev: oldest.rev,
  });
}

/** Positions of two epochs have no order. */
const isReached = (position: Position, target: Position): boolean =>
  position.epoch === target.epoch && position.rev >= target.rev;
