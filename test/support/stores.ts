import { systemClock } from "../../src/lib/system-clock.ts";
import { openStore } from "../../src/store/open.ts";
import type { StoreSetup } from "../../src/store/setup.ts";
import type { TaskStore } from "../../src/store/store.ts";
import { createTestLog } from "./engine.ts";

/** A store as the server opens it, on the machine's own clock. */
export const setupOf = (url: string, more: Partial<StoreSetup> = {}): StoreSetup => ({
  url,
  clock: systemClock,
  log: createTestLog(),
  random: Math.random,
  nonce: () => crypto.randomUUID().slice(0, 8),
  worker: "test-worker",
  allowVolatileRedis: false,
  ...more,
});

export const openTestStore = (url: string, more: Partial<StoreSetup> = {}): Promise<TaskStore> =>
  tryWhereBusy(() => openStore(setupOf(url, more)));

const TRIES = 5;

/** Tries again if, on a busy machine, the server does not answer within the 5 s that a store waits when it is opened. */
export async function tryWhereBusy<T>(open: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await open();
    } catch (error) {
      if (tries === TRIES || !/not answer/.test(String(error))) throw error;
    }
  }
}

/** A name for a schema, a prefix or a file that no other test uses. */
export const uniqueName = (prefix: string): string => `${prefix}_${crypto.randomUUID().slice(0, 8)}`;
