/**
 * Decides which tab of a browser reads the stream of events, by messages between the tabs. Web Locks would do the same in fewer
 * lines, but a page from a plain http address other than localhost has none, and a tab that is frozen keeps its lock. Two readers
 * at a time do no harm, since each event may be told twice; so a tab that doubts that there is a reader becomes one, and of two
 * readers that hear of each other the one of the earlier term stops.
 */

/** A reader announces itself every few seconds, and to each tab that asks; it leaves when its tab is closed or frozen. */
export type Ballot =
  | { readonly kind: "asks" }
  | { readonly kind: "reads"; readonly term: number; readonly id: string }
  | { readonly kind: "leaves" };

export interface Election {
  /** Takes part, from the start or after `leave`. */
  join(): void;
  /** Takes part no more: the tab is about to be closed or frozen. */
  leave(): void;
  /** Another tab's ballot. */
  receive(ballot: Ballot): void;
  /** Something else has come from the reader, which therefore lives. */
  hear(): void;
}

export type ElectionSetup = {
  /** No other tab's. */
  readonly id: string;
  /** To all other tabs. */
  readonly post: (ballot: Ballot) => void;
  /** Calls once, later; returns how to cancel. */
  readonly after: (ms: number, run: () => void) => () => void;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Reads the stream until the signal aborts. */
  readonly read: (signal: AbortSignal) => void;
};

/** For the answer to a tab that was just opened: its reader should not come late where there is no other tab. */
const FIRST_ANSWER_MS = 100;
/** For the answer to a tab that has heard nothing for long. A reader that draws a large payload takes some hundred milliseconds. */
const ANSWER_MS = 2_000;
const ANNOUNCE_MS = 3_000;
/** A tab that has not heard the reader for this long asks for it: in a hidden tab timers run only once a minute. */
const SILENT_MS = 5_000;
/** The tabs that hear that the reader leaves try to follow it at different times within this. */
const SPREAD_MS = 100;

export function createElection({ id, post, after, random, read }: ElectionSetup): Election {
  let isIn = false;
  /** Of the latest reader that is known. */
  let term = 0;
  let reading: AbortController | null = null;
  /** Whether the reader has left and this tab is about to follow it. */
  let isFollowing = false;
  let cancelTimer = (): void => undefined;

  function schedule(ms: number, run: () => void): void {
    isFollowing = false;
    cancelTimer();
    cancelTimer = after(ms, run);
  }

  /** Again and again, for a tab that stood still may have missed it. */
  function announce(): void {
    post({ kind: "reads", term, id });
    schedule(ANNOUNCE_MS, announce);
  }

  const awaitSilence = (): void => schedule(SILENT_MS, () => ask(ANSWER_MS));

  function ask(withinMs: number): void {
    post({ kind: "asks" });
    schedule(withinMs, takeOver);
  }

  function takeOver(): void {
    term += 1;
    reading = new AbortController();
    announce();
    read(reading.signal);
  }

  function stop(): void {
    reading?.abort();
    reading = null;
  }

  function receiveReader(other: { readonly term: number; readonly id: string }): void {
    const isAhead = other.term > term || (other.term === term && other.id < id);
    if (reading !== null && !isAhead) {
      announce(); // the other one stops when it hears this
      return;
    }
    stop();
    term = Math.max(term, other.term);
    awaitSilence();
  }

  return {
    join: () => {
      if (isIn) return;
      isIn = true;
      ask(FIRST_ANSWER_MS);
    },
    leave: () => {
      isIn = false;
      cancelTimer();
      if (reading === null) return;
      stop();
      post({ kind: "leaves" });
    },
    receive: (ballot) => {
      if (!isIn) return;
      if (ballot.kind === "reads") return receiveReader(ballot);
      if (ballot.kind === "asks" && reading !== null) return announce();
      if (ballot.kind !== "leaves" || reading !== null) return;
      schedule(random() * SPREAD_MS, takeOver);
      isFollowing = true;
    },
    hear: () => {
      // Its last events may arrive after its ballot: they come through another channel.
      if (isIn && reading === null && !isFollowing) awaitSilence();
    },
  };
}
