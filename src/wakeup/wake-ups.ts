/**
 * The port of wake-ups. A wake-up means only that there may be work of these types. It may be lost, doubled, late or out of order:
 * this changes only the latency, because tasks are in the store, and every process that waits for work also polls the store.
 */
export interface WakeUps {
  /**
   * Tells processes that tasks have become due; a type is repeated for each of its tasks, so that a broker wakes no more processes
   * than there is work for. Never needed for correctness: the caller logs a failure, and the next poll finds the work.
   */
  notify(types: readonly string[]): Promise<void>;

  /**
   * Waits for the next wake-up for one of these types (exact, or a prefix ending in `*`). A wake-up that came before the call may
   * be reported or not; one that comes after it is not missed while the connection is open. Resolves to null as soon as `signal`
   * aborts or `close` is called. A process without a free slot does not listen, and after a while receives no wake-ups.
   */
  listen(types: readonly string[], signal: AbortSignal): Promise<WakeUp | null>;

  /** Ends every `listen`. May be called twice. */
  close(): Promise<void>;
}

/** It is acknowledged right after the store was asked, never after the work. */
export interface WakeUp {
  /**
   * @param claimed how many tasks the store gave. As many wake-ups are acknowledged, because they announced these tasks. If it is 0,
   * all that had come when this one was reported are acknowledged: other processes have claimed what they announced.
   */
  ack(claimed: number): Promise<void>;
  /** Set if it comes some time after the commit, in case that other processes have left the tasks. */
  readonly isLate?: boolean;
}

/** The wake-ups of a broker: each of them wakes one of the processes that take the same types. */
export interface BrokerWakeUps extends WakeUps {
  /** Whether a wake-up that is sent now for one of these types may be received in this process. */
  isLive(types: readonly string[]): boolean;
}
