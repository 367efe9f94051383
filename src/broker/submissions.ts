/** The port through which a broker brings tasks in, from producers that speak no HTTP. */
export interface TaskInlet {
  /**
   * Begins to take messages, many at once; those that cannot be taken yet hold up no more than their share. One that was
   * accepted is acknowledged after that, one that was refused is acknowledged after the broker keeps it among the rejected
   * ones, with the reason. One for which `take` rejects is left with the broker and comes again, here or elsewhere.
   */
  consume(take: (submission: Submission) => Promise<Taken>): void;

  /** Whether messages are to be taken and cannot be, for example because the queue is declared otherwise. The log says why. */
  isInterrupted(): boolean;

  /** Takes no more, and waits for what is under way, though not for long; safe twice. */
  close(): Promise<void>;
}

export type Submission = {
  readonly body: Uint8Array;
  /** What the message is known by, the same each time it comes; null where its producer gave it no name. */
  readonly key: string | null;
  /** Within which no two messages have the same key. */
  readonly scope: string;
};

/** A refusal comes with its problem document, as HTTP would have answered. */
export type Taken = { readonly kind: "accepted" } | { readonly kind: "rejected"; readonly problem: string };
