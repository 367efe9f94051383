/**
 * Elects the tab that reads the event stream, by messages between the tabs of a browser. Web Locks would need fewer lines, but pages
 * over plain http, except on localhost, do not have them, and a frozen tab keeps its lock. Two readers at a time are harmless,
 * because events may be delivered twice. Therefore a tab that gets no sign of a reader becomes the reader. If two readers learn of
 * each other, the one with the older term stops.
 */

/** The reader announces itself every few seconds and answers each tab that asks. It leaves when its tab is closed or frozen. */
export type ElectionMessage =
  | { readonly kind: "asks" }
  | { readonly kind: "reads"; readonly term: number; readonly id: string }
  | { readonly kind: "leaves" };

export interface Election {
  /** Starts to take part, at first or after `leave`. */
  join(): void;
  /** Stops taking part: the tab is about to be closed or frozen. */
  leave(): void;
  /** Handles a message of another tab. */
  receive(message: ElectionMessage): void;
  /** Another kind of message came from the reader, so the reader is alive. */
  hear(): void;
}

export type ElectionSetup = {
  /** Unique among the tabs. */
  readonly id: string;
  /** Sends a message to all other tabs. */
  readonly post: (message: ElectionMessage) => void;
  /** Calls `run` once after `ms`; returns a function that cancels. */
  readonly after: (ms: number, run: () => void) => () => void;
  /** A random number from 0 to 1. */
  readonly random: () => number;
  /** Reads the stream until the signal aborts. */
  readonly read: (signal: AbortSignal) => void;
};

/** A new tab waits this long for an answer of a reader: short, because an only tab should start to read soon. */
const FIRST_ANSWER_MS = 100;
/** A tab without a sign of the reader waits this long for an answer: rendering a large payload blocks the reader for some 100 ms. */
const ANSWER_MS = 2_000;
const ANNOUNCE_MS = 3_000;
/** After this long without a message of the reader, a tab asks for it. It asks first because timers of a hidden tab run only once a minute. */
const SILENT_MS = 5_000;
/** When the reader leaves, each tab waits a random time up to this before it takes over, so that one tab is first. */
const SPREAD_MS = 100;

export function createElection({ id, post, after, random, read }: ElectionSetup): Election {
  let isIn = false;
  /** The term of the latest known reader. */
  let term = 0;
  let reading: AbortController | null = null;
  /** Whether the reader has left and this tab is about to take over. */
  let isFollowing = false;
  let cancelTimer = (): void => undefined;

  function schedule(ms: number, run: () => void): void {
    isFollowing = false;
    cancelTimer();
    cancelTimer = after(ms, run);
  }

  /** Repeats, because a suspended tab may miss a message. */
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
      announce(); // the other reader stops when it receives this
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
    receive: (message) => {
      if (!isIn) return;
      if (message.kind === "reads") return receiveReader(message);
      if (message.kind === "asks" && reading !== null) return announce();
      if (message.kind !== "leaves" || reading !== null) return;
      schedule(random() * SPREAD_MS, takeOver);
      isFollowing = true;
    },
    hear: () => {
      // The last events of a reader may arrive after its "leaves" message: they come through another channel.
      if (isIn && reading === null && !isFollowing) awaitSilence();
    },
  };
}
