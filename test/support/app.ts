import { type App, createApp } from "../../src/app.ts";
import { readConfig } from "../../src/config.ts";
import type { Clock } from "../../src/core/clock.ts";
import { createLog, type Level } from "../../src/lib/log.ts";
import { systemClock } from "../../src/lib/system-clock.ts";

export interface RunningApp {
  readonly app: App;
  readonly url: string;
  /** The lines of the log. */
  readonly lines: readonly string[];
  stop(): Promise<number>;
}

/**
 * Starts a whole server in this process on a free port of 127.0.0.1. Settings have the names of the environment; by default the
 * simulation is short and never fails.
 */
export async function startApp(
  env: Readonly<Record<string, string>> = {},
  effects: { readonly clock?: Clock; readonly random?: () => number; readonly logLevel?: Level } = {},
): Promise<RunningApp> {
  const config = readConfig({
    env: {
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: "0",
      SIMULATE_MIN: "20ms",
      SIMULATE_MAX: "40ms",
      SIMULATE_FAILURE_RATE: "0",
      DISPATCH_INTERVAL: "0s",
      SHUTDOWN_GRACE: "0s",
      ...env,
    },
  });
  const lines: string[] = [];
  const clock = effects.clock ?? systemClock;
  const log = createLog({
    level: effects.logLevel ?? "warn",
    pretty: false,
    now: () => clock.now(),
    write: (line) => lines.push(line),
  });
  const app = await createApp(config, {
    clock,
    random: effects.random ?? Math.random,
    nonce: () => crypto.randomUUID().slice(0, 8),
    worker: "test-worker",
    log,
    handlers: null,
  });
  const { url } = await app.start();
  return { app, url, lines, stop: () => app.stop() };
}
