/** The processes that run handlers: how they are started, restarted, chosen for a task and watched. */
import type { Clock } from "../../core/clock.ts";
import type { TypeDefaults } from "../../core/lifecycle.ts";
import { backoffMs } from "../../lib/backoff.ts";
import type { Log } from "../../lib/log.ts";
import { createTicker } from "../../lib/ticker.ts";
import { type LinkedAbort, linkedAbort, sleep } from "../../lib/waiting.ts";
import {
  type EndedProcess,
  type HandlerProcess,
  type SpawnHandlers,
  startHandlerProcess,
} from "./process.ts";

const CHECK_EVERY_MS = 500;
const RESTART = { firstMs: 100, longestMs: 10_000 };

/** A started process, and whether it loads the module. */
export type Trial = {
  readonly process: HandlerProcess;
  /** Resolves with null when the module is loaded, or with the error. */
  readonly loaded: Promise<string | null>;
};

export interface ProcessSet {
  /** Starts a process that is restarted whenever it ends. */
  launch(): void;
  /** Starts a process that is not restarted if it cannot load the module. */
  launchOnTrial(): Trial;
  /** Starts a process that runs one task and is never restarted. */
  launchSolo(): Trial;
  /** Retires all processes but this one and those that run one task, and cancels the restarts. */
  retireOthers(kept: HandlerProcess): void;
  /** The process with the fewest runs; null if none is ready. */
  leastLoaded(): HandlerProcess | null;
  /** The same, and waits for a process; null if none is ready within `withinMs`, or when the signal aborts. */
  nextReady(withinMs: number, signal: AbortSignal): Promise<HandlerProcess | null>;
  /** Kills all processes. None is started from now on. */
  close(): void;
}

export type ProcessSetSetup = {
  readonly spawn: SpawnHandlers;
  readonly onTypes: (types: ReadonlyMap<string, TypeDefaults>) => void;
  readonly clock: Clock;
  readonly log: Log;
};

type Launch = {
  readonly isSolo: boolean;
  /** The number of previous processes in a row that have ended before they finished a task. */
  readonly failures: number;
  /** Called once with null when the module is loaded, or with the error; null for a process that is restarted instead. */
  readonly onLoaded: ((fault: string | null) => void) | null;
};

export function createProcessSet({ spawn, onTypes, clock, log }: ProcessSetSetup): ProcessSet {
  const processes = new Set<HandlerProcess>();
  const waiting = new Set<LinkedAbort>(); // an abort ends the wait
  const restarts = new Set<() => void>(); // each cancels one
  let isClosed = false;
  let runs = 0;

  const watch = createTicker({
    clock,
    everyMs: CHECK_EVERY_MS,
    tick: () => {
      for (const process of processes) process.check();
      return processes.size > 0;
    },
  });

  function start(launch: Launch): HandlerProcess {
    const process = startHandlerProcess({
      ...{ spawn, clock, isSolo: launch.isSolo, nextRun: () => ++runs },
      onReady: (types) => {
        onTypes(types);
        launch.onLoaded?.(null);
        for (const wait of waiting) wait.abort();
      },
      onExit: (ended) => {
        processes.delete(process);
        const isFailedTrial = ended.state === "loading" && launch.onLoaded !== null;
        if (isFailedTrial) launch.onLoaded?.(ended.fault ?? ended.why);
        else if (ended.state !== "retired") onLoss(process, launch, ended);
      },
    });
    processes.add(process);
    watch.start();
    return process;
  }

  function onLoss({ pid }: HandlerProcess, launch: Launch, { hasWorked, why }: EndedProcess): void {
    if (isClosed) return;
    log.error("handlers_ended", { handlers_pid: pid, why });
    if (!launch.isSolo) restart(hasWorked ? 0 : launch.failures);
  }

  function restart(failures: number): void {
    const cancel = clock.after(backoffMs(RESTART, failures), () => {
      restarts.delete(cancel);
      start({ isSolo: false, failures: failures + 1, onLoaded: null });
    });
    restarts.add(cancel);
  }

  function cancelRestarts(): void {
    for (const cancel of restarts) cancel();
    restarts.clear();
  }

  function startTrial(isSolo: boolean): Trial {
    const { promise: loaded, resolve: onLoaded } = Promise.withResolvers<string | null>();
    return { process: start({ isSolo, failures: 0, onLoaded }), loaded };
  }

  function leastLoaded(): HandlerProcess | null {
    let best: HandlerProcess | null = null;
    let least = Number.POSITIVE_INFINITY;
    for (const process of processes) {
      const load = process.isSolo ? null : process.load();
      if (load === null || load >= least) continue;
      best = process;
      least = load;
    }
    return best;
  }

  async function nextReady(withinMs: number, signal: AbortSignal): Promise<HandlerProcess | null> {
    const wait = linkedAbort(signal);
    waiting.add(wait);
    if (!isClosed) await sleep(clock, withinMs, wait.signal);
    waiting.delete(wait);
    wait.unlink();
    return signal.aborted ? null : leastLoaded();
  }

  return {
    launch: () => void start({ isSolo: false, failures: 0, onLoaded: null }),
    launchOnTrial: () => startTrial(false),
    launchSolo: () => startTrial(true),
    retireOthers: (kept) => {
      cancelRestarts();
      for (const process of processes) if (process !== kept && !process.isSolo) process.retire();
    },
    leastLoaded,
    nextReady,
    close: () => {
      isClosed = true;
      cancelRestarts();
      for (const process of processes) process.kill("shutdown");
      for (const wait of waiting) wait.abort();
    },
  };
}
