import type { Clock } from "../../src/core/clock.ts";
import { createEngine, type Engine, type EngineSetup } from "../../src/engine/engine.ts";
import type { Level, Log, LogFields } from "../../src/lib/log.ts";
import { createMemoryStore } from "../../src/store/memory/store.ts";
import type { Look, TaskStore } from "../../src/store/store.ts";
import { createStoreWakeUps } from "../../src/wakeup/store-wake-ups.ts";
import { createManualClock, type ManualClock } from "./clock.ts";

export const LEASE_MS = 30_000;
export const POLL_MS = 1_000;

export interface OpenEngine {
  readonly engine: Engine;
  readonly store: TaskStore;
  readonly clock: ManualClock;
  readonly log: TestLog;
}

/**
 * A real engine on a real memory store, with a clock that the test moves. It does not sweep by itself. `around` wraps the
 * store, for example with a counter, a gate or a fault.
 */
export function openEngine(
  setup: Partial<EngineSetup> & {
    readonly clock?: ManualClock;
    readonly around?: (store: TaskStore) => TaskStore;
    /** Changes what a look finds. */
    readonly look?: (looked: Look) => Look;
  } = {},
): OpenEngine {
  const {
    around = (store) => store,
    look = (looked) => looked,
    clock = createManualClock(),
    ...rest
  } = setup;
  const store = lookingByNow(around(rest.store ?? createTestStore(clock)), look);
  const log = createTestLog();
  const engine = createEngine({
    wakeUps: createStoreWakeUps(store),
    clock,
    log,
    random: () => 0.5,
    nonce: () => "n",
    types: new Map(),
    pollMs: POLL_MS,
    retentions: [],
    ...rest,
    store,
  });
  return { engine, store, clock, log };
}

/** A look asks the wrapped `now`, so that a test which changes or counts `now` meets all measurements of the time. */
const lookingByNow = (store: TaskStore, change: (looked: Look) => Look): TaskStore => ({
  ...store,
  look: async () => change({ now: await store.now(), isDue: true, isExpired: true, hasDocuments: true }),
});

export const createTestStore = (clock: Clock): TaskStore => createMemoryStore({ clock, epoch: "test" });

export type Logged = { readonly level: Level; readonly event: string; readonly fields: LogFields };

/** A log that keeps its events for the test. */
export interface TestLog extends Log {
  readonly logged: readonly Logged[];
  readonly events: readonly string[];
}

export function createTestLog(): TestLog {
  const logged: Logged[] = [];
  const at =
    (level: Level) =>
    (event: string, fields: LogFields = {}) => {
      logged.push({ level, event, fields });
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    isDebug: true,
    logged,
    get events() {
      return logged.filter(({ level }) => level !== "debug").map(({ event }) => event);
    },
  };
}
