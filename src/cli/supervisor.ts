import type { Clock } from "../core/clock.ts";
import { backoffMs } from "../lib/backoff.ts";
import type { Log } from "../lib/log.ts";

/** A process that serves, as far as who looks after it sees it. */
export type Child = { readonly pid: number; readonly kill: (signal: NodeJS.Signals) => void };
export type Exit = { readonly code: number | null; readonly signal: string | null };

/** Starts a process; it says once that it listens, unless it ends before, and once that it has ended. */
export type Spawn = (on: { readonly listening: () => void; readonly ended: (exit: Exit) => void }) => Child;

export interface Supervisor {
  /**
   * Starts one process and, when it listens, all others. Resolves with null then, or with the exit code of the first one if
   * it ended before: what it has complained of would befall the others too.
   */
  start(): Promise<number | null>;
  /** Passes the signal on and resolves with the exit code when all have ended; nobody is restarted any more. */
  stop(signal: NodeJS.Signals): Promise<number>;
  /** Kills what is left. */
  kill(): void;
}

const FAILED = 1;
const STOPPING: ReadonlySet<string | null> = new Set(["SIGTERM", "SIGINT", "SIGHUP"]);
const RESTART = { firstMs: 500, longestMs: 30_000 };
/** Who has run this long was well; its end is the first one again. */
const STEADY_MS = 60_000;

export function createSupervisor(setup: {
  readonly count: number;
  readonly spawn: Spawn;
  readonly clock: Clock;
  readonly log: Log;
}): Supervisor {
  const { clock, log } = setup;
  const children = new Set<Child>();
  const restarts = new Set<() => void>(); // each cancels one
  const started = Promise.withResolvers<number | null>();
  const allEnded = Promise.withResolvers<void>();
  let state: "starting" | "running" | "stopping" = "starting";
  let exitCode = 0;

  /** @param deaths how often in a row it has ended soon after its start */
  function run(deaths: number): void {
    const startedAt = clock.monotonic();
    const child = setup.spawn({
      listening: () => started.resolve(null),
      ended: (exit) => {
        children.delete(child);
        const isSteady = clock.monotonic() - startedAt > STEADY_MS;
        if (state === "starting") started.resolve(exit.code ?? FAILED);
        else if (state === "stopping") note(exit);
        else restart(child, exit, isSteady ? 0 : deaths);
      },
    });
    children.add(child);
  }

  function restart({ pid }: Child, exit: Exit, deaths: number): void {
    const delayMs = backoffMs(RESTART, deaths);
    log.error("process_ended", { ended_pid: pid, ...exit, restart_in_ms: delayMs });
    const cancel = clock.after(delayMs, () => {
      restarts.delete(cancel);
      run(deaths + 1);
    });
    restarts.add(cancel);
  }

  /** One that was told to go before it could listen to signals died of it, and that is well. */
  function note({ code, signal }: Exit): void {
    if (code !== 0 && !STOPPING.has(signal)) exitCode = FAILED;
    if (children.size === 0) allEnded.resolve();
  }

  return {
    start: async () => {
      run(0);
      const code = await started.promise;
      if (code !== null || state !== "starting") return code;
      state = "running";
      for (let others = setup.count - 1; others > 0; others--) run(0);
      return null;
    },
    stop: async (signal) => {
      state = "stopping";
      started.resolve(null);
      for (const cancel of restarts) cancel();
      for (const child of children) child.kill(signal);
      if (children.size > 0) await allEnded.promise;
      return exitCode;
    },
    kill: () => {
      for (const child of children) child.kill("SIGKILL");
    },
  };
}
