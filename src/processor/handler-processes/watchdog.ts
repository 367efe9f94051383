import type { Clock } from "../../core/clock.ts";
import { HEARTBEAT_EVERY_MS } from "./messages.ts";

/** A process without a message for this long is treated as dead: its event loop is blocked. */
export const SILENT_AFTER_MS = 10_000;
/** After this, new tasks go to other processes. */
const QUIET_AFTER_MS = 2.5 * HEARTBEAT_EVERY_MS;
/** The longest time that a module may take to load. */
export const LOADS_WITHIN_MS = 60_000;

/** Judges from the messages of a process whether it still works. */
export interface Watchdog {
  /** The process has sent a message. */
  heard(): void;
  /** The last message is older than two heartbeats. */
  isQuiet(): boolean;
  /**
   * Called at each round. True when the process must be killed: two rounds in a row found it silent. One round is not
   * enough: if the server itself was suspended, it has not read the messages of the process yet.
   */
  isSilent(isLoading: boolean): boolean;
}

export function createWatchdog(clock: Clock): Watchdog {
  const startedAt = clock.monotonic();
  let heardAt = startedAt;
  let isSuspect = false;

  // Loading a module may block the event loop for a long time. A module that waits while it loads sends heartbeats all the time.
  const isLate = (isLoading: boolean): boolean =>
    isLoading
      ? clock.monotonic() - startedAt > LOADS_WITHIN_MS
      : clock.monotonic() - heardAt > SILENT_AFTER_MS;

  return {
    heard: () => {
      heardAt = clock.monotonic();
    },
    isQuiet: () => clock.monotonic() - heardAt > QUIET_AFTER_MS,
    isSilent: (isLoading) => {
      const wasSuspect = isSuspect;
      isSuspect = isLate(isLoading);
      return isSuspect && wasSuspect;
    },
  };
}
