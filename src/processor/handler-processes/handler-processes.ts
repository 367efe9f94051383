/**
 * Handlers in processes of their own. For the processor, all processes together are one handler. It ends only when the work has
 * ended or has been killed. Leases, heartbeats and timeouts stay with the processor. A process that ended is replaced. A process
 * that is silent, or runs a task for too long after its abort, is killed with all that it has started.
 */
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import type { TypeDefaults } from "../../core/lifecycle.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { Log } from "../../lib/log.ts";
import { createSemaphore } from "../../lib/semaphore.ts";
import { type HandlerTask, type RunContext, type Verdict, verdictOf } from "../handler.ts";
import type { SpawnHandlers } from "./process.ts";
import { createProcessSet } from "./process-set.ts";

export interface HandlerProcesses {
  /** Starts the processes; resolves when the module is loaded. Rejects with `invalid` and the module's own error if it cannot be loaded. */
  start(): Promise<void>;
  /** Runs a task of any type of the module. */
  readonly handler: (task: HandlerTask, context: RunContext) => Promise<Verdict>;
  /**
   * Loads the module again: new tasks go to new processes, and the old ones end with their last task. If the module cannot be
   * loaded, an error is logged and the old processes continue.
   */
  reload(): Promise<void>;
  /** Kills all processes, and releases their tasks. No process is started from now on. */
  kill(): void;
}

export type HandlerProcessesSetup = {
  readonly spawn: SpawnHandlers;
  readonly processes: number;
  /** Called with the types of the module and their defaults, before `start` resolves and again after each change. */
  readonly onTypes: (types: ReadonlyMap<string, TypeDefaults>) => void;
  readonly clock: Clock;
  readonly log: Log;
};

/** At most this number of processes, or twice `processes` if that is more, run a single task each. */
const SOLO_AT_LEAST = 4;
/** If no process is ready, a task waits this long in its slot. It is then released, and is due again after the same time. */
const WAIT_FOR_PROCESS_MS = 10_000;

export function createHandlerProcesses(setup: HandlerProcessesSetup): HandlerProcesses {
  const set = createProcessSet(setup);
  const soloPlaces = createSemaphore(Math.max(SOLO_AT_LEAST, 2 * setup.processes));
  let isKilled = false;

  async function run(task: HandlerTask, context: RunContext): Promise<Outcome> {
    const process = set.leastLoaded() ?? (await set.nextReady(WAIT_FOR_PROCESS_MS, context.signal));
    return process === null ? givenBack(context.signal) : process.run(task, context);
  }

  /**
   * A task that was running when its process ended runs in a process of its own the next time. If it caused the end, it ends no other
   * task again, and only this task is lost three times.
   */
  async function runSolo(task: HandlerTask, context: RunContext): Promise<Outcome> {
    const release = await soloPlaces.acquire(context.signal);
    if (release === null) return givenBack(context.signal);
    try {
      const { process, loaded } = set.launchSolo();
      return (await loaded) === null ? await process.run(task, context) : givenBack(context.signal);
    } finally {
      release();
    }
  }

  const givenBack = ({ aborted }: AbortSignal): Outcome => ({
    kind: "released",
    delayMs: aborted || isKilled ? 0 : WAIT_FOR_PROCESS_MS,
  });

  /** The first process shows whether the module loads; then the others start. Resolves with the error of the module, or with null. */
  async function loadModule(): Promise<string | null> {
    const { process, loaded } = set.launchOnTrial();
    const fault = await loaded;
    if (fault !== null || isKilled) return fault;
    set.retireOthers(process);
    for (let others = setup.processes - 1; others > 0; others--) set.launch();
    return null;
  }

  function kill(): void {
    isKilled = true;
    set.close();
    soloPlaces.close();
  }

  return {
    handler: async (task, context) => {
      const outcome = task.losses > 0 ? await runSolo(task, context) : await run(task, context);
      return verdictOf(outcome);
    },
    start: async () => {
      const fault = await loadModule();
      if (fault === null) return;
      kill();
      throw new TaskError("invalid", fault);
    },
    reload: async () => {
      const fault = await loadModule();
      if (fault !== null) setup.log.error("handlers_not_reloaded", { why: fault });
    },
    kill,
  };
}
