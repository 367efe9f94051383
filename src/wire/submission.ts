/** The submission of tasks, over HTTP or through a broker: a body, with or without an idempotency key. */
import { isTaskError } from "../core/error.ts";
import type { TaskSpec } from "../core/lifecycle.ts";
import { earlierFingerprintOf, fingerprintOf } from "./idempotency-key.ts";
import type { JsonBody } from "./json-body.ts";
import { specsOf } from "./task-input.ts";

export type SubmissionKey = { readonly scope: string; readonly key: string };

/** The part of the engine that creates tasks. */
export interface TaskCreator<C = unknown> {
  create(
    specs: readonly TaskSpec[],
    idempotency: (SubmissionKey & { readonly fingerprint: string }) | null,
  ): Promise<C>;
}

/** Creates the tasks of a body. Throws or rejects with a refusal. */
export function submit<C>(engine: TaskCreator<C>, body: JsonBody, named: SubmissionKey | null): Promise<C> {
  const specs = specsOf(body);
  if (named === null) return engine.create(specs, null);
  const creating = engine.create(specs, { ...named, fingerprint: fingerprintOf(body.text) });
  // A key that version 0.1 stored up to a day ago has a fingerprint of the earlier kind. Nothing was
  // created.
  return creating.catch((error: unknown) => {
    if (!isTaskError(error, "idempotency_mismatch")) throw error;
    return engine.create(specs, { ...named, fingerprint: earlierFingerprintOf(body.text) });
  });
}
