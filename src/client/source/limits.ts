import { BATCH_LIMITS } from "../../lib/batch.ts";

/** A request's body may have 1 MiB; a part of it is left for the JSON around the texts. */
export const BODY_BYTES = 768 * 1_024;

export const REQUEST_LIMITS = {
  ...BATCH_LIMITS,
  calls: 1_000,
  bytes: BODY_BYTES,
  waitingCalls: 1_000_000,
  waitingBytes: 1_024 * 1_048_576,
};
