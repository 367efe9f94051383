import type { Clock } from "../core/clock.ts";
import type { Bell } from "../wakeup/wake-ups.ts";

/** What becomes of a bell that a broker has given to this process: it has served, or another process may have it. */
export type Fate = "answered" | "returned";

/** The bells for one set of types that a broker has given to this process and that nobody has answered yet, and who hears them. */
export interface Hand {
  /** Takes a bell in. */
  take(): Promise<Fate>;
  /** As TaskQueue's; one that is in the hand already is heard at once. */
  hear(signal: AbortSignal): Promise<Bell | null>;
  readonly size: number;
  /** Gives all that it holds to others. */
  putBack(): void;
  /** Ends every `hear` and holds nothing more; safe twice. */
  close(): void;
}

export type HandSetup = {
  readonly clock: Clock;
  /** Nobody has listened for so long. */
  readonly silentMs: number;
  readonly onSilence: () => void;
};

export function createHand({ clock, silentMs, onSilence }: HandSetup): Hand {
  const ears = new Set<(bell: Bell | null) => void>();
  const held: { readonly number: number; readonly settle: (fate: Fate) => void }[] = [];
  let taken = 0;
  /** Whether one has been heard whose answer is still to come: it stands for what comes until then, too. */
  let isBeingAnswered = false;
  let isClosed = false;
  let endWait = (): void => undefined;

  function take(): Promise<Fate> {
    if (isClosed) return Promise.resolve("returned");
    const { promise, resolve } = Promise.withResolvers<Fate>();
    held.push({ number: ++taken, settle: resolve });
    if (!isBeingAnswered) sound();
    return promise;
  }

  function sound(): void {
    const heard = bell();
    isBeingAnswered = ears.size > 0;
    for (const ear of [...ears]) ear(heard);
  }

  /** All that is in the hand, as one: a claim takes whatever there is. */
  function bell(): Bell {
    const upTo = taken;
    return {
      ack: async (claimed) => {
        const answered = claimed > 0 ? claimed : held.filter(({ number }) => number <= upTo).length;
        for (const { settle } of held.splice(0, answered)) settle("answered");
        isBeingAnswered = false;
        if (held.length > 0) sound();
      },
    };
  }

  function hear(signal: AbortSignal): Promise<Bell | null> {
    if (signal.aborted || isClosed) return Promise.resolve(null);
    endWait();
    return new Promise((resolve) => {
      const ear = (heard: Bell | null): void => {
        ears.delete(ear);
        signal.removeEventListener("abort", hush);
        resolve(heard);
        if (ears.size === 0) endWait = clock.after(silentMs, onSilence);
      };
      const hush = (): void => ear(null);
      ears.add(ear);
      signal.addEventListener("abort", hush);
      if (held.length > 0 && !isBeingAnswered) sound();
    });
  }

  function putBack(): void {
    isBeingAnswered = false;
    for (const { settle } of held.splice(0)) settle("returned");
  }

  return {
    take,
    hear,
    get size() {
      return held.length;
    },
    putBack,
    close: () => {
      isClosed = true;
      for (const ear of [...ears]) ear(null);
      endWait();
      putBack();
    },
  };
}
