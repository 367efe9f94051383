/**
 * A named position in the change log that one process of all on the store holds, for work that must have one reader. The holder
 * and the position are one document, written by compare-and-set, so that the position never goes back under a new holder.
 */
import type { Clock } from "../core/clock.ts";
import type { Position, TaskStore } from "../store/store.ts";

export interface LeasedPosition {
  /** Marks the present end of the log if no position is marked yet: all later changes will be read. */
  mark(): Promise<void>;
  /** The lease, or in how many milliseconds to try again. */
  take(): Promise<PositionLease | number>;
}

/** It is renewed by itself until it is over. */
export interface PositionLease {
  /** The last position up to which the holders had done the work, in the present epoch of the log. */
  readonly position: Position;
  /** Set if the log has a new epoch since the last write: the position that the holders had written. */
  readonly movedFrom: Position | null;
  /** Aborts as soon as the lease is over, or is not known to be held. */
  readonly over: AbortSignal;
  /** Whether the lease is held at this moment: a process that was frozen learns it here before any timer fires. */
  isHeld(): boolean;
  /**
   * Writes the position up to which the work is done. Rejects if the lease is over. Ends the lease, and writes nothing, if the
   * log has a new epoch.
   */
  advance(position: Position): Promise<void>;
  /** There was nothing to do up to this position: it is written with the next renewal. */
  pass(position: Position): void;
  /** Ends the lease without writing the position: the log has a new epoch, in which the position may be wrong. */
  abandon(): void;
  /** Releases the position for the next process that asks. May be called twice. */
  release(): Promise<void>;
}

export type LeasedPositionSetup = {
  readonly name: string;
  /** Names this process among those on the store. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly store: Pick<TaskStore, "changes" | "readDocuments" | "writeDocuments">;
  /** The present end of the change log. */
  readonly end: () => Promise<Position>;
  /** The store's time. */
  readonly now: () => number;
  readonly clock: Clock;
};

type Written = Position & {
  readonly holder: string | null;
  readonly until: number;
  /**
   * The rev of the previous write. In a new epoch the work continues from here. The log and the document are in one store, and a
   * store that loses writes loses the latest ones of both. So a rev in a document was reached in the log of that store.
   * Only the latest document may be wrong: its holder looks for a new epoch before each write, and the loss may happen between the
   * two. Version 0.1.0 did not write this field.
   */
  readonly before?: number;
  /** The length of the holder's lease, which may be longer than that of another process. Version 0.1.0 did not write it. */
  readonly leaseMs?: number;
};
type Known = { readonly version: number; readonly written: Written };

/** Far longer than any change log reaches back. */
const KEPT_MS = 365 * 86_400_000;

/** The document was there when the holder began and is missing now: the store was emptied, so all entries of its log are new. */
const VANISHED: Known = { version: 0, written: { epoch: "", rev: 0, holder: null, until: 0 } };

export function createLeasedPosition(setup: LeasedPositionSetup): LeasedPosition {
  const { holder, leaseMs, now, clock } = setup;
  const document = createPositionDocument(setup);
  let seen: { readonly version: number; readonly at: number } | null = null; // the document's version and when it was first seen

  async function mark(): Promise<void> {
    if ((await document.read()) !== null) return;
    const position = await setup.end();
    await document.put({ position, before: position.rev, by: null, ifVersion: 0 }); // if another process has written it first, nothing is left to do
  }

  /**
   * The remaining time of the lease in the document. A lease that has been seen unchanged for its whole length is over, even if its
   * `until` is later: a live holder renews it every third of its length, and a clock that was set back leaves the end of a dead
   * holder's lease far ahead.
   */
  function leftOf({ version, written }: Known): number {
    if (written.holder === null || written.holder === holder) return 0;
    const at = clock.monotonic();
    if (seen?.version !== version) seen = { version, at };
    return Math.min(written.until - now(), seen.at + (written.leaseMs ?? leaseMs) - at);
  }

  async function take(): Promise<PositionLease | number> {
    const first = (await document.read()) ?? VANISHED;
    const epoch = await document.epochAt(first.written);
    // In a new epoch the document is read again: the document that was read may be lost by now.
    const { version, written } =
      first.written.epoch === epoch ? first : ((await document.read()) ?? VANISHED);
    const leftMs = leftOf({ version, written });
    if (leftMs > 0) return Math.min(leftMs, leaseMs / 3);
    const { before = written.rev } = written;
    const isMoved = written.epoch !== epoch;
    const position: Position = { epoch, rev: isMoved ? before : written.rev };
    const heldFrom = await document.put({ position, before, by: holder, ifVersion: version });
    if (heldFrom === null) return leaseMs / 3;
    const movedFrom = isMoved ? { epoch: written.epoch, rev: written.rev } : null;
    return createLease(setup, document, { position, before, movedFrom, version: version + 1, heldFrom });
  }

  return { mark, take };
}

type PositionDocument = ReturnType<typeof createPositionDocument>;

function createPositionDocument({ name: position, store, now, leaseMs, clock }: LeasedPositionSetup) {
  const name = `cursor/${position}`; // as version 0.1.0 named it

  async function read(): Promise<Known | null> {
    const { documents } = await store.readDocuments(name, now());
    const document = documents.find((candidate) => candidate.name === name);
    if (document === undefined) return null;
    return { version: document.version, written: JSON.parse(document.value) as Written }; // as `put` has written it
  }

  /** The start of the lease on the monotonic clock; null if another process wrote the document first. */
  async function put(next: {
    readonly position: Position;
    readonly before: number;
    readonly by: string | null;
    readonly ifVersion: number;
  }): Promise<number | null> {
    const askedAt = clock.monotonic();
    const at = now();
    const until = next.by === null ? 0 : at + leaseMs;
    const { epoch, rev } = next.position;
    const written: Written = { epoch, rev, before: next.before, holder: next.by, until, leaseMs };
    const document = { name, value: JSON.stringify(written), until: at + KEPT_MS, ifVersion: next.ifVersion };
    const [answer] = await store.writeDocuments([document], at);
    return answer === "ok" ? askedAt : null;
  }

  return {
    name,
    read,
    put,
    /** The epoch of the present log. It does not ask for the log's end: on PostgreSQL that waits for all open writes. */
    epochAt: async (at: Position): Promise<string> => (await store.changes(at, 1)).position.epoch,
  };
}

type Taken = {
  readonly position: Position;
  readonly before: number;
  readonly movedFrom: Position | null;
  /** The document's version since the lease was taken. */
  readonly version: number;
  /** Monotonic. */
  readonly heldFrom: number;
};

function createLease(
  { holder, leaseMs, clock }: LeasedPositionSetup,
  document: PositionDocument,
  taken: Taken,
): PositionLease {
  const over = new AbortController();
  let { position, before, version } = taken;
  let writtenRev = position.rev;
  let heldUntil = 0;
  let cancelTimers = (): void => undefined;
  let writing: Promise<unknown> = Promise.resolve(); // one at a time, each on the version that the one before wrote

  /** It ends a sixth early: the work under way needs some time to be aborted. */
  function renewedFrom(heldFrom: number): void {
    cancelTimers();
    heldUntil = heldFrom + leaseMs * (5 / 6);
    const cancelRenewal = clock.after(leaseMs / 3, () => void write(holder).catch(() => undefined)); // a failure ends the lease
    const cancelEnd = clock.after(heldUntil - clock.monotonic(), end);
    cancelTimers = () => {
      cancelRenewal();
      cancelEnd();
    };
  }

  function end(): void {
    cancelTimers();
    over.abort();
  }

  function write(by: string | null): Promise<void> {
    const written = writing.then(() => writeNow(by));
    writing = written.catch(() => undefined);
    return written;
  }

  async function writeNow(by: string | null): Promise<void> {
    try {
      if ((await document.epochAt(position)) !== position.epoch) return end();
      if (position.rev !== writtenRev) before = Math.min(writtenRev, position.rev);
      const { rev } = position;
      const heldFrom = isHeld() ? await document.put({ position, before, by, ifVersion: version }) : null;
      if (heldFrom === null) throw new Error(`the lease of ${document.name} is over`);
      writtenRev = rev;
      version++;
      if (by === null) end();
      else if (!over.signal.aborted) renewedFrom(heldFrom);
    } catch (error) {
      end(); // if the store did not answer, the version is unknown, and the lease must be taken again
      throw error;
    }
  }

  function isHeld(): boolean {
    if (clock.monotonic() >= heldUntil) end();
    return !over.signal.aborted;
  }

  renewedFrom(taken.heldFrom);

  return {
    get position() {
      return position;
    },
    movedFrom: taken.movedFrom,
    over: over.signal,
    isHeld,
    abandon: end,
    advance: (next) => {
      position = next;
      return write(holder);
    },
    pass: (next) => {
      position = next;
    },
    release: async () => {
      if (!over.signal.aborted) await write(null).catch(() => undefined); // then the lease runs out by itself
    },
  };
}
