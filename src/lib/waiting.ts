/**
 * Waits that a time limit, a signal or both can end. Each of them removes its timer and its listeners when it is over, so that
 * a signal that lives as long as the process does not collect listeners.
 */

/** The part of a clock that calls back: `run` is called once, no sooner than `delayMs` from now, unless the answer is called first. */
export type Timers = { after(delayMs: number, run: () => void): () => void };

/** Calls `run` once when the signal aborts; at once if it has aborted already. The answer removes the listener. */
export function onAbort(signal: AbortSignal, run: () => void): () => void {
  if (signal.aborted) {
    run();
    return doNothing;
  }
  const listener = (): void => run();
  signal.addEventListener("abort", listener, { once: true });
  return () => signal.removeEventListener("abort", listener);
}

/** Bun, Node.js and Deno have it, browsers do not. */
const { setImmediate } = globalThis as { readonly setImmediate?: (run: () => void) => unknown };

/**
 * Resolves in the next turn of the event loop, after what this turn has written was sent; in this turn where the runtime has no
 * `setImmediate`.
 */
export const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    if (setImmediate === undefined) resolve();
    else setImmediate(resolve);
  });

/** Resolves after `ms`, or as soon as the signal aborts. Never rejects. */
export function sleep(timers: Timers, ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancelTimer();
      unlisten();
      resolve();
    };
    const cancelTimer = timers.after(ms, end);
    const unlisten = signal === undefined ? doNothing : onAbort(signal, end);
  });
}

/** One sleep at a time, which other code may shorten. */
export interface Sleeper {
  sleep(ms: number): Promise<void>;
  /** The present sleep ends after at most `withinMs` from now. No effect while nothing sleeps. */
  wake(withinMs?: number): void;
}

export function createSleeper(timers: Timers): Sleeper {
  let wake: (withinMs: number) => void = doNothing;
  return {
    sleep: (ms) =>
      new Promise((resolve) => {
        let latestMs = ms;
        const end = (): void => {
          cancelTimer();
          wake = doNothing;
          resolve();
        };
        let cancelTimer = timers.after(ms, end);
        wake = (withinMs) => {
          if (withinMs >= latestMs) return;
          if (withinMs === 0) return end();
          latestMs = withinMs;
          cancelTimer();
          cancelTimer = timers.after(withinMs, end);
        };
      }),
    wake: (withinMs = 0) => wake(withinMs),
  };
}

/** The outcome of the promise; `otherwise` if there is none within `ms`. A later rejection is ignored. */
export function within<T, U>(timers: Timers, ms: number, outcome: Promise<T>, otherwise: U): Promise<T | U> {
  return new Promise((resolve, reject) => {
    const cancelTimer = timers.after(ms, () => resolve(otherwise));
    outcome.finally(cancelTimer).then(resolve, reject);
  });
}

/** An abort controller that follows other signals. */
export interface LinkedAbort {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** Removes the listeners and the timer: from now on only `abort` aborts. May be called twice. */
  unlink(): void;
}

/** Aborts with the first of these signals, and with its reason. `AbortSignal.any` does the same, but cannot be unlinked. */
export function linkedAbort(...signals: readonly AbortSignal[]): LinkedAbort {
  const controller = new AbortController();
  const unlisten = signals.map((signal) => onAbort(signal, () => controller.abort(signal.reason)));
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink: () => {
      for (const remove of unlisten) remove();
    },
  };
}

/** The same, and aborts after `ms`. */
export function abortWithin(timers: Timers, ms: number, ...signals: readonly AbortSignal[]): LinkedAbort {
  const linked = linkedAbort(...signals);
  const cancelTimer = timers.after(ms, () => linked.abort());
  return {
    ...linked,
    unlink: () => {
      cancelTimer();
      linked.unlink();
    },
  };
}

const doNothing = (): void => undefined;
