/**
 * Steps that are carried out once, however often the client sends the call: an HTTP client may send a request again by itself when its
 * kept connection turns out to be closed. The commit of a step contains a document with its result; the same call finds the document.
 */
import { isTaskError, TaskError } from "../core/error.ts";
import type { Status, TaskHead } from "../core/task.ts";
import type { OnceDocument, StoredDocument } from "../store/store.ts";

export type CallKey = {
  /** The document's name: the same call has the same name. */
  readonly name: string;
  /** A hash of the content of the call: the same key with another content is refused. */
  readonly fingerprint: string;
};

/** The task after the step; null if it was deleted. */
export type CarriedOut = { readonly status: Status; readonly version: number } | null;

export interface Once {
  /** The document of a step to this task, or of its deletion. */
  document(to: TaskHead | null, now: number): OnceDocument;
  /** Rejects if the same call has been carried out. */
  assertFirst(): Promise<void>;
}

export type OnceAnswer<T> = { readonly first: T } | { readonly earlier: CarriedOut };

type Noted = { readonly fingerprint: string; readonly task: CarriedOut };

const KEPT_MS = 24 * 3_600_000;

export function createOnce(setup: {
  readonly recall: (name: string) => Promise<Pick<StoredDocument, "value"> | null>;
}) {
  async function earlierOf({ name, fingerprint }: CallKey): Promise<{ readonly earlier: CarriedOut } | null> {
    const document = await setup.recall(name);
    if (document === null) return null;
    const noted = JSON.parse(document.value) as Noted; // as `document` writes it
    if (noted.fingerprint === fingerprint) return { earlier: noted.task };
    throw new TaskError("idempotency_mismatch", "This idempotency key was already used with another request");
  }

  const onceOf = (call: CallKey): Once => ({
    document: (to, now) => {
      const task = to === null ? null : { status: to.status, version: to.version };
      const value = JSON.stringify({ fingerprint: call.fingerprint, task } satisfies Noted);
      return { name: call.name, value, until: now + KEPT_MS, now };
    },
    assertFirst: async () => {
      if ((await setup.recall(call.name)) !== null) throw carriedOutAlready();
    },
  });

  /** A step that was refused, or whose commit was not confirmed, may have been carried out all the same: by the same call or by this one. */
  return async <T>(call: CallKey, step: (once: Once) => Promise<T>): Promise<OnceAnswer<T>> => {
    const earlier = await earlierOf(call);
    if (earlier !== null) return earlier;
    try {
      return { first: await step(onceOf(call)) };
    } catch (error) {
      const meanwhile = isTaskError(error) ? await earlierOf(call).catch(unlessMismatch) : null;
      if (meanwhile === null) throw error;
      return meanwhile;
    }
  };
}

/** A mismatch is the answer to the call: another call has used its key meanwhile. After any other failure it is not known whether the call was executed. */
function unlessMismatch(error: unknown): null {
  if (isTaskError(error, "idempotency_mismatch")) throw error;
  return null;
}

const carriedOutAlready = (): TaskError =>
  new TaskError("wrong_status", "The same call has been carried out already");
