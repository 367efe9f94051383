import type { StopReason } from "./execute.ts";

/**
 * A run's order to stop. Its signal is made when somebody looks at it, which the quickest handlers never do: to make one
 * costs more than all else that such a run takes.
 */
export interface Stop {
  /** Null as long as the run may go on. */
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
