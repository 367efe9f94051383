import type { Clock } from "../core/clock.ts";
import { backoffMs } from "../lib/backoff.ts";
import type { Log } from "../lib/log.ts";

/** A server process, as far as the supervisor sees it. */
export type Child = { readonly pid: number; readonly kill: (signal: NodeJS.Signals) => void };
export type Exit = { readonly code: number | null; readonly signal: string | null };

/** Starts a process. `listening` is called once unless the process ends earlier, `ended` once. */
export type Spawn = (on: { readonly listening: () => void; readonly ended: (exit: Exit) => void }) => Child;

export interface Supervisor {
  /**
   * Starts one process and, when it listens, all others. Then resolves with null. If the first process ends
   * earlier, resolves with its exit code: the others would end for the same reason.
   */
  start(): Promise<number | null>;
  /** Sends the signal to all processes, and resolves with the exit code when all have ended. Restarts none from now on. */
  stop(signal: NodeJS.Signals): Promise<number>;
  /** Kills the remaining processes. */
  kill(): void;
}

const FAILED = 1;
const STOPPING: ReadonlySet<string | null> = new Set(["SIGTERM", "SIGINT", "SIGHUP"]);
const RESTART = { firstMs: 500, longestMs: 30_000 };
/** A process that has run this long counts as healthy: if it ends later, its failures are counted from one again. */
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

  /** @param failures how often in a row the process has ended soon after its start */
  function run(failures: number): void {
    const startedAt = clock.monotonic();
    const child = setup.spawn({
      listening: () => started.resolve(null),
      ended: (exit) => {
        children.delete(child);
        const isSteady = clock.monotonic() - startedAt > STEADY_MS;
        if (state === "starting") started.resolve(exit.code ?? FAILED);
        else if (state === "stopping") note(exit);
        else restart(child, exit, isSteady ? 0 : failures);
      },
    });
    children.add(child);
  }

  function restart({ pid }: Child, exit: Exit, failures: number): void {
    const delayMs = backoffMs(RESTART, failures);
    log.error("process_ended", { ended_pid: pid, ...exit, restart_in_ms: delayMs });
    const cancel = clock.after(delayMs, () => {
      restarts.delete(cancel);
      run(failures + 1);
    });
    restarts.add(cancel);
  }

  /** A process that gets the signal before it has a listener is ended by the signal. That is not a failure. */
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
