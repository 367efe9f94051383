/** The parts of TaskTrack without HTTP, wired as in app.ts, for benchmarks of the engine and the stores. */
import { createEngine, type Engine } from "../src/engine/engine.ts";
import { createLog } from "../src/lib/log.ts";
import { systemClock } from "../src/lib/system-clock.ts";
import { openStore } from "../src/store/open.ts";
import type { TaskStore } from "../src/store/store.ts";
import { createStoreWakeUps } from "../src/wakeup/store-wake-ups.ts";

export const LEASE_MS = 30_000;
const POLL_MS = 1_000;

export const clock = systemClock;

export const log = createLog({
  level: "warn",
  pretty: false,
  now: () => clock.now(),
  write: (line) => void process.stderr.write(line),
});

export const nonce = (): string => crypto.randomUUID().slice(0, 8);

export const openTaskStore = (url: string): Promise<TaskStore> =>
  openStore({
    url,
    clock,
    log,
    random: Math.random,
    nonce,
    worker: `bench-${process.pid}`,
    allowVolatileRedis: false,
  });

export const createBenchEngine = (store: TaskStore): Engine =>
  createEngine({
    store,
    wakeUps: createStoreWakeUps(store),
    clock,
    log,
    random: Math.random,
    nonce,
    types: new Map(),
    pollMs: POLL_MS,
    retentions: [],
  });
