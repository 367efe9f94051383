/**
 * The port of the doorbell. A bell says "there may be work of these types", nothing more: it may be lost, doubled,
 * late or out of order and only latency changes, because the store is the truth and whoever waits also polls it.
 */
export interface TaskQueue {
  /**
   * Tells processes that tasks have become due: a type as often as there are tasks of it, for a doorbell that wakes no more of them
   * than there is work for. Never needed for correctness: a failure is logged by the caller and the next poll finds the work.
   */
  ring(types: readonly string[]): Promise<void>;

  /**
   * Waits for the next bell of one of these types (exact, or a prefix ending in `*`). Bells that came before the call
   * may be reported or not; none that comes after it is missed while the connection stands. Resolves to null as soon as
   * `signal` aborts or the queue closes: who has no free slot listens to nothing, and soon holds no bell.
   */
  hear(types: readonly string[], signal: AbortSignal): Promise<Bell | null>;

  /** Ends every `hear`; safe twice. */
  close(): Promise<void>;
}

/** Heard; acknowledged right after the store was asked, never after the work. */
export interface Bell {
  /**
   * Says how many tasks the store gave: as many bells are answered with it, for they told of these. None: there is nothing to be
   * had, and every bell that had come when this one was heard told of what somebody else has taken.
   */
  ack(claimed: number): Promise<void>;
}

/** Bells that a broker spreads over processes: each wakes one of those that hear it. */
export interface BrokerWakeUps extends TaskQueue {
  /** Whether a bell that is rung now for one of these types would come to who hears them here. */
  isLive(types: readonly string[]): boolean;
}
