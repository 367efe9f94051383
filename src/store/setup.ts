import type { Clock } from "../core/clock.ts";
import type { Log } from "../lib/log.ts";

/** The values and effects that a store gets from the process that opens it. */
export type StoreSetup = {
  /** STORE_URL; config has checked its form. */
  readonly url: string;
  readonly clock: Clock;
  readonly log: Log;
  /** A random number from [0, 1). */
  readonly random: () => number;
  /** A short text that is different each time. */
  readonly nonce: () => string;
  /** The name of this process in the leases of its own processor. */
  readonly worker: string;
  readonly allowVolatileRedis: boolean;
};
