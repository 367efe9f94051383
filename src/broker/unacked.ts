import type { Clock } from "../core/clock.ts";
import { onAbort } from "../lib/waiting.ts";
import type { WakeUp } from "../wakeup/wake-ups.ts";
import type { Disposition } from "./disposition.ts";

/** The wake-ups for one set of types that a broker has delivered to this process and that have not been acknowledged yet. */
export interface Unacked {
  /** Adds a wake-up; resolves with the disposition of its message. */
  add(): Promise<Disposition>;
  /** The `listen` of the port. Wake-ups that have already arrived are reported at once. */
  listen(signal: AbortSignal): Promise<WakeUp | null>;
  readonly size: number;
  returnAll(): void;
  /** Ends every `listen`, and returns all wake-ups, also those that are added later. May be called twice. */
  close(): void;
}

export type UnackedSetup = {
  readonly clock: Clock;
  /** `onIdle` is called when nothing has listened for this long. */
  readonly idleMs: number;
  readonly onIdle: () => void;
};

export function createUnacked({ clock, idleMs, onIdle }: UnackedSetup): Unacked {
  const listeners = new Set<(wakeUp: WakeUp | null) => void>();
  const unacked: { readonly number: number; readonly dispose: (disposition: Disposition) => void }[] = [];
  let lastNumber = 0;
  /** Whether a wake-up was reported and its `ack` has not been called. Wake-ups that are added meanwhile are reported after the `ack`. */
  let isReported = false;
  let isClosed = false;
  let cancelIdle = (): void => undefined;

  function add(): Promise<Disposition> {
    if (isClosed) return Promise.resolve("return");
    const { promise, resolve } = Promise.withResolvers<Disposition>();
    unacked.push({ number: ++lastNumber, dispose: resolve });
    if (!isReported) report();
    return promise;
  }

  function report(): void {
    const all = allAsOne();
    isReported = listeners.size > 0;
    for (const listener of [...listeners]) listener(all);
  }

  /** One wake-up for all that have arrived: a claim takes every task that is due. */
  function allAsOne(): WakeUp {
    const upTo = lastNumber;
    return {
      ack: async (claimed) => {
        const count = claimed > 0 ? claimed : unacked.filter(({ number }) => number <= upTo).length;
        for (const { dispose } of unacked.splice(0, count)) dispose("acknowledge");
        isReported = false;
        if (unacked.length > 0) report();
      },
    };
  }

  function listen(signal: AbortSignal): Promise<WakeUp | null> {
    if (signal.aborted || isClosed) return Promise.resolve(null);
    cancelIdle();
    return new Promise((resolve) => {
      const listener = (wakeUp: WakeUp | null): void => {
        listeners.delete(listener);
        unlisten();
        resolve(wakeUp);
        if (listeners.size === 0) cancelIdle = clock.after(idleMs, onIdle);
      };
      const unlisten = onAbort(signal, () => listener(null));
      listeners.add(listener);
      if (unacked.length > 0 && !isReported) report();
    });
  }

  function returnAll(): void {
    isReported = false;
    for (const { dispose } of unacked.splice(0)) dispose("return");
  }

  return {
    add,
    listen,
    get size() {
      return unacked.length;
    },
    returnAll,
    close: () => {
      isClosed = true;
      for (const listener of [...listeners]) listener(null);
      cancelIdle();
      returnAll();
    },
  };
}
