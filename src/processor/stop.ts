/** Why a run was told to stop; the reason of the handler's abort signal. */
export type StopReason = "cancelled" | "lost" | "timeout" | "shutdown";

/**
 * A request to a run to stop, as plain data: 100,000 runs have two each. Its abort signal is created when a handler reads it: a signal takes
 * more memory than the rest of a run, and more time than a short run.
 */
export type Stop = {
  /** Null as long as the run may continue. */
  reason: StopReason | null;
  controller: AbortController | null;
  listeners: ((reason: StopReason) => void)[] | null;
};

export const createStop = (): Stop => ({ reason: null, controller: null, listeners: null });

/** Aborts with the order to stop, and with its reason. */
export function signalOf(stop: Stop): AbortSignal {
  if (stop.controller === null) {
    stop.controller = new AbortController();
    if (stop.reason !== null) stop.controller.abort(stop.reason);
  }
  return stop.controller.signal;
}

/** Calls `listener` once when the run is told to stop; at once if it was told already. */
export function onOrder(stop: Stop, listener: (reason: StopReason) => void): void {
  stop.listeners ??= [];
  if (stop.reason === null) stop.listeners.push(listener);
  else listener(stop.reason);
}

/** Tells the run to stop. The first reason counts. */
export function order(stop: Stop, reason: StopReason): void {
  if (stop.reason !== null) return;
  stop.reason = reason;
  for (const listener of stop.listeners ?? []) listener(reason);
  stop.listeners = null;
  stop.controller?.abort(reason);
}
