import { onAbort } from "./waiting.ts";

/** A fixed number of places. Each place has one holder at a time. A freed place goes to the oldest waiter. */
export interface Semaphore {
  /**
   * Waits for a place. Resolves with the function that frees it, which may be called twice; with null when the signal aborts
   * first, or after `close`.
   */
  acquire(signal: AbortSignal): Promise<(() => void) | null>;
  /** Refuses all waiters, present and future. Held places stay held. */
  close(): void;
}

export function createSemaphore(places: number): Semaphore {
  const waiters = new Set<(release: (() => void) | null) => void>(); // a set keeps their order and removes from its middle
  let held = 0;
  let isClosed = false;

  function take(): () => void {
    held++;
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      held--;
      const [oldest] = waiters;
      oldest?.(take());
    };
  }

  function wait(signal: AbortSignal): Promise<(() => void) | null> {
    return new Promise((resolve) => {
      const answer = (release: (() => void) | null): void => {
        waiters.delete(answer);
        unlisten();
        resolve(release);
      };
      waiters.add(answer);
      const unlisten = onAbort(signal, () => answer(null));
    });
  }

  return {
    acquire: async (signal) => {
      if (isClosed || signal.aborted) return null;
      return held < places ? take() : wait(signal);
    },
    close: () => {
      isClosed = true;
      for (const answer of waiters) answer(null);
    },
  };
}
