/** Tasks that a client submits, over HTTP or through a broker: one body, under an idempotency key or none. */
import { isTaskError } from "../core/error.ts";
import type { Creation, Engine } from "../engine/engine.ts";
import type { JsonBody } from "./body.ts";
import { earlierFingerprintOf, fingerprintOf } from "./conditions.ts";
import { specsOf } from "./task-schemas.ts";

export type SubmissionKey = { readonly scope: string; readonly key: string };

/** Creates what the body asks for. Throws or rejects with a refusal. */
export function submit(
  engine: Pick<Engine, "create">,
  body: JsonBody,
  named: SubmissionKey | null,
): Promise<Creation> {
  const specs = specsOf(body);
  if (named === null) return engine.create(specs, null);
  const creating = engine.create(specs, { ...named, fingerprint: fingerprintOf(body.text) });
  // A key that version 0.1 has stored, up to a day ago, has a fingerprint of the other kind. Nothing was created.
  return creating.catch((error: unknown) => {
    if (!isTaskError(error, "idempotency_mismatch")) throw error;
    return engine.create(specs, { ...named, fingerprint: earlierFingerprintOf(body.text) });
  });
}
