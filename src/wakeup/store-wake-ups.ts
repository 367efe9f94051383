import { onAbort, type Timers } from "../lib/waiting.ts";
import type { TaskStore } from "../store/store.ts";
import { lookAfterMs, type Peers } from "./selection.ts";
import type { WakeUp, WakeUps } from "./wake-ups.ts";

export type StoreWakeUpsSetup = {
  readonly timers: Timers;
  /** The processes on the store; without it each notification wakes. */
  readonly peers: () => Peers;
};

/** The store as the source of wake-ups: it notifies its watchers of each commit, so `notify` has nothing to do. */
export function createStoreWakeUps(store: Pick<TaskStore, "watch">, setup?: StoreWakeUpsSetup): WakeUps {
  const closing = new AbortController();
  const peers = setup?.peers ?? (() => ALONE);

  function listen(types: readonly string[], signal: AbortSignal): Promise<WakeUp | null> {
    if (signal.aborted || closing.signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      let cancelLook: (() => void) | null = null;
      const end = (wakeUp: WakeUp | null): void => {
        cancelLook?.();
        for (const remove of listeners) remove();
        resolve(wakeUp);
      };
      const listeners = [
        store.watch((due, notice) => {
          const afterMs = lookAfterMs(types, due, notice, peers());
          if (afterMs === 0 || (afterMs !== null && setup === undefined)) end(WAKE_UP);
          else if (afterMs !== null) cancelLook ??= setup?.timers.after(afterMs, () => end(LATE)) ?? null;
        }, "due"),
        onAbort(signal, () => end(null)),
        onAbort(closing.signal, () => end(null)),
      ];
    });
  }

  return {
    notify: async () => undefined,
    listen,
    close: async () => closing.abort(),
  };
}

const ALONE: Peers = { own: "", processes: [] };

/** The wake-up comes from no broker, so there is nothing to acknowledge. */
const WAKE_UP: WakeUp = { ack: async () => undefined };
const LATE: WakeUp = { ack: async () => undefined, isLate: true };
