/** Steps of a task whose calls may be repeated under an Idempotency-Key. */
import type { Status, Task } from "../core/task.ts";
import type { CallKey, CarriedOut, Once, Producers } from "../engine/producers.ts";
import { etagOf } from "./conditional-headers.ts";
import { ETAG, IDEMPOTENT_REPLAYED, IF_MATCH, STEP_KEY } from "./header-schemas.ts";

export const STEP_HEADERS = { "If-Match": IF_MATCH, "Idempotency-Key": STEP_KEY };
export const STEPPED = { ETag: ETAG, "Idempotent-Replayed": IDEMPOTENT_REPLAYED };

export const REPLAYED = { "idempotent-replayed": "true" };

type Stepped<T> = { readonly task: T; readonly status: Status; readonly headers: Record<string, string> };

/**
 * Carries out a step, under a key only once. If an earlier call has carried it out, `look` reads the task for
 * the answer.
 */
export async function stepOnce<T extends Pick<Task, "id" | "version" | "status">>(
  engine: Pick<Producers, "once">,
  key: CallKey | undefined,
  step: (once?: Once) => Promise<T>,
  look: (earlier: NonNullable<CarriedOut>) => T | Promise<T>,
): Promise<Stepped<T>> {
  const done = key === undefined ? { first: await step() } : await engine.once(key, step);
  if ("first" in done) {
    const { first } = done;
    return { task: first, status: first.status, headers: { etag: etagOf(first) } };
  }
  const { earlier } = done;
  if (earlier === null) throw new Error("the key of a step has the document of a deletion");
  const task = await look(earlier);
  return { task, status: earlier.status, headers: { etag: etagOf(task), ...REPLAYED } };
}
