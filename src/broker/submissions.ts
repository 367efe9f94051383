/** The port through which a broker delivers submissions: messages that create tasks. */
export interface Submissions {
  /**
   * Begins to receive messages, many at the same time. Messages that cannot be submitted yet do not delay the others. An accepted
   * message is acknowledged after its tasks are stored. A rejected one is acknowledged after its rejection, with the reason, is
   * published. If `submit` rejects, the message stays with the broker and is delivered again, to this process or to another one.
   */
  consume(submit: Submit): void;

  /** Whether messages are to be received and cannot be, for example because the queue is declared with other properties. The log has the reason. */
  isInterrupted(): boolean;

  /** Receives nothing more, and waits a limited time for unfinished messages. May be called twice. */
  close(): Promise<void>;
}

export type Submit = (submission: Submission) => Promise<SubmissionResult>;

export type Submission = {
  readonly body: Uint8Array;
  /** The idempotency key: the same at each delivery of the message; null if its producer gave it no key. */
  readonly key: string | null;
  /** Keys are unique within a scope. */
  readonly scope: string;
};

/** A rejection has the problem document that HTTP would have answered. */
export type SubmissionResult =
  | { readonly kind: "accepted" }
  | { readonly kind: "rejected"; readonly problem: string };
