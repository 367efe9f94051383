/**
 * A named place in the change log that one process of all on the store holds, for what must have one reader. Who holds it and
 * how far it has read stand in one note, written by compare-and-set, so that the place never goes back under a new holder.
 */
import type { Clock } from "../core/clock.ts";
import type { Position, TaskStore } from "../store/store.ts";

export interface NamedCursor {
  /** Marks the present end of the log where no place is marked yet: whatever happens from now on will be read. */
  mark(): Promise<void>;
  /** The cursor, or in how many milliseconds to try again. */
  take(): Promise<CursorHold | number>;
}

/** The lease is renewed by itself until it is over. */
export interface CursorHold {
  /** The last position whose work the holders had done, in the present epoch of the log. */
  readonly position: Position;
  /** Set where the log has a new epoch since the last write: the position that the holders had written. */
  readonly movedFrom: Position | null;
  /** Aborts as soon as the lease is over, or cannot be told to stand. */
  readonly over: AbortSignal;
  /** Whether the lease stands at this moment: a process that was frozen learns it here before any timer fires. */
  isHeld(): boolean;
  /**
   * Writes the position up to which the work is done. Rejects if the lease is over. Ends the lease, and writes nothing, if the
   * log has a new epoch.
   */
  advance(position: Position): Promise<void>;
  /** There was nothing to do up to here: it is written down with the next renewal. */
  pass(position: Position): void;
  /** Ends the lease without writing the position: the log has a new epoch, in which the position may be wrong. */
  abandon(): void;
  /** Gives the cursor free for whoever asks next; safe twice. */
  letGo(): Promise<void>;
}

export type CursorSetup = {
  readonly name: string;
  /** Names this process among those on the store. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly store: Pick<TaskStore, "changes" | "readNotes" | "writeNotes">;
  /** Where the change log ends now. */
  readonly end: () => Promise<Position>;
  /** The store's time. */
  readonly now: () => number;
  readonly clock: Clock;
};

type Written = Position & {
  readonly holder: string | null;
  readonly until: number;
  /**
   * The rev of the previous write. In a new epoch the work continues from here. The log and the note are in one store, and a
   * store that loses writes loses the latest ones of both. So a rev that stands in a note was reached in the log of that store.
   * Only the latest note may be wrong: its holder looks for a new epoch before each write, and the loss may happen between the
   * two. Version 0.1.0 did not write this field.
   */
  readonly before?: number;
  /** The holder's own, which may be longer than that of another process. Version 0.1.0 did not write it. */
  readonly leaseMs?: number;
};
type Known = { readonly version: number; readonly written: Written };

/** Far longer than any change log reaches back. */
const KEPT_MS = 365 * 86_400_000;

type Putting = {
  readonly position: Position;
  readonly before: number;
  readonly by: string | null;
  readonly ifVersion: number;
};

/** The note was there when the holder began and is missing now: the store was emptied, so all entries of its log are new. */
const VANISHED: Known = { version: 0, written: { epoch: "", rev: 0, holder: null, until: 0 } };

export function createCursor(setup: CursorSetup): NamedCursor {
  const { holder, leaseMs, store, now, clock } = setup;
  const name = `cursor/${setup.name}`;

  let seen: { readonly version: number; readonly at: number } | null = null; // the note's version and when it was first seen

  async function read(): Promise<Known | null> {
    const { notes } = await store.readNotes(name, now());
    const note = notes.find((candidate) => candidate.name === name);
    if (note === undefined) return null;
    return { version: note.version, written: JSON.parse(note.value) as Written }; // as `put` has written it
  }

  /** The epoch of the present log. It does not ask for the log's end: on PostgreSQL that waits for all open writes. */
  const epochOf = async (position: Position): Promise<string> =>
    (await store.changes(position, 1)).position.epoch;

  /** The start of the lease on the monotonic clock; null if another process wrote the note first. */
  async function put({ position, before, by, ifVersion }: Putting): Promise<number | null> {
    const askedAt = clock.monotonic();
    const at = now();
    const until = by === null ? 0 : at + leaseMs;
    const value = JSON.stringify({
      epoch: position.epoch,
      rev: position.rev,
      before,
      holder: by,
      until,
      leaseMs,
    } satisfies Written);
    const [answer] = await store.writeNotes([{ name, value, until: at + KEPT_MS, ifVersion }], at);
    return answer === "ok" ? askedAt : null;
  }

  async function mark(): Promise<void> {
    if ((await read()) !== null) return;
    const position = await setup.end();
    await put({ position, before: position.rev, by: null, ifVersion: 0 }); // another process may have written it first, which is as good
  }

  /**
   * The remaining time of the lease in the note. A lease that has been seen unchanged for its whole length is over, whatever its
   * `until` says: a live holder renews it every third of its length, and a clock that was set back leaves the end of a dead
   * holder's lease far ahead.
   */
  function leftOf({ version, written }: Known): number {
    if (written.holder === null || written.holder === holder) return 0;
    const at = clock.monotonic();
    if (seen?.version !== version) seen = { version, at };
    return Math.min(written.until - now(), seen.at + (written.leaseMs ?? leaseMs) - at);
  }

  async function take(): Promise<CursorHold | number> {
    const first = (await read()) ?? VANISHED;
    const epoch = await epochOf(first.written);
    // In a new epoch the note is read again: the note that was read may be lost by now.
    const { version, written } = first.written.epoch === epoch ? first : ((await read()) ?? VANISHED);
    const leftMs = leftOf({ version, written });
    if (leftMs > 0) return Math.min(leftMs, leaseMs / 3);
    const { before = written.rev } = written;
    const isMoved = written.epoch !== epoch;
    const position: Position = { epoch, rev: isMoved ? before : written.rev };
    const heldFrom = await put({ position, before, by: holder, ifVersion: version });
    if (heldFrom === null) return leaseMs / 3;
    const movedFrom = isMoved ? { epoch: written.epoch, rev: written.rev } : null;
    return createHold({ position, before, movedFrom }, { version: version + 1, heldFrom });
  }

  type From = { readonly position: Position; readonly before: number; readonly movedFrom: Position | null };

  function createHold(from: From, taken: { version: number; heldFrom: number }): CursorHold {
    const over = new AbortController();
    let { position, before } = from;
    let writtenRev = position.rev;
    let { version } = taken;
    let heldUntil = 0;
    let cancelTimers = (): void => undefined;
    let writing: Promise<unknown> = Promise.resolve(); // one at a time, each on the version that the one before made

    /** It ends a sixth early: what is under way when it does needs some time to be called off. */
    function renewedFrom(heldFrom: number): void {
      cancelTimers();
      heldUntil = heldFrom + leaseMs * (5 / 6);
      const cancelRenewal = clock.after(leaseMs / 3, () => void write(holder).catch(() => undefined)); // `over` says it
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
        if ((await epochOf(position)) !== position.epoch) return end();
        if (position.rev !== writtenRev) before = Math.min(writtenRev, position.rev);
        const { rev } = position;
        const heldFrom = isHeld() ? await put({ position, before, by, ifVersion: version }) : null;
        if (heldFrom === null) throw new Error(`the lease of ${name} is over`);
        writtenRev = rev;
        version++;
        if (by === null) end();
        else if (!over.signal.aborted) renewedFrom(heldFrom);
      } catch (error) {
        end(); // where the store did not answer, the version is not known any more: it is to be taken anew
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
      movedFrom: from.movedFrom,
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
      letGo: async () => {
        if (!over.signal.aborted) await write(null).catch(() => undefined); // it runs out then
      },
    };
  }

  return { mark, take };
}
