/** Why a run was told to stop; the reason of the handler's abort signal. */
export type StopReason = "cancelled" | "lost" | "timeout" | "shutdown";

/**
 * The request to a run to stop. Its abort signal is created only when a handler reads it: short handlers never read it, and creating a
 * signal costs more than the rest of such a run.
 */
export interface Stop {
  /** Null as long as the run may continue. */
  readonly reason: StopReason | null;
  readonly signal: AbortSignal;
  /** The first reason counts. */
  order(reason: StopReason): void;
}

export function createStop(): Stop {
  let reason: StopReason | null = null;
  let controller: AbortController | null = null;

  function open(): AbortController {
    const made = new AbortController();
    if (reason !== null) made.abort(reason);
    return made;
  }

  return {
    get reason() {
      return reason;
    },
    get signal() {
      controller ??= open();
      return controller.signal;
    },
    order: (why) => {
      if (reason !== null) return;
      reason = why;
      controller?.abort(why);
    },
  };
}
