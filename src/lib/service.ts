/** Something that runs in the background from its start to its stop. */
export interface Service {
  /** For the log. */
  readonly name: string;
  /** Rejects if the process cannot work without it. */
  start(): Promise<void> | void;
  /** Ends the work under way, or gives it up after `withinMs`; safe twice, and without a start. */
  stop(withinMs: number): Promise<void>;
}
