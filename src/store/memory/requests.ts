/** The answers to earlier requests with an idempotency key. */
import type { Idempotency, InsertAnswer, Inserted } from "../store.ts";

type Remembered = {
  readonly fingerprint: string;
  readonly until: number;
  readonly tasks: readonly Inserted[];
};

export interface Requests {
  /** The answer to a repeated request; null for one that is not known. */
  earlier(request: Idempotency, now: number): InsertAnswer | null;
  remember(request: Idempotency, tasks: readonly Inserted[]): void;
  /** Deletes expired requests. */
  forget(now: number): void;
}

export function createRequests(): Requests {
  const byName = new Map<string, Remembered>(); // the oldest first

  function earlier(request: Idempotency, now: number): InsertAnswer | null {
    const known = byName.get(nameOf(request));
    if (known === undefined || known.until <= now) return null;
    const isSame = known.fingerprint === request.fingerprint;
    return isSame ? { kind: "repeated", tasks: known.tasks } : { kind: "mismatch" };
  }

  function remember(request: Idempotency, tasks: readonly Inserted[]): void {
    const name = nameOf(request);
    byName.delete(name); // so that `set` puts it at the end, after the older ones
    byName.set(name, { fingerprint: request.fingerprint, until: request.until, tasks });
  }

  /** All are kept for about the same time, so the oldest expire first. */
  function forget(now: number): void {
    for (const [name, { until }] of byName) {
      if (until > now) return;
      byName.delete(name);
    }
  }

  return { earlier, remember, forget };
}

const nameOf = ({ scope, key }: Idempotency): string => JSON.stringify([scope, key]);
