/** One process that runs handlers: the runs in it, the messages from it, its watchdog and its end. */
import type { Clock } from "../../core/clock.ts";
import type { TypeDefaults } from "../../core/lifecycle.ts";
import type { Outcome } from "../../core/outcome.ts";
import { LIMITS, storableText } from "../../core/task.ts";
import type { HandlerTask, RunContext } from "../handler.ts";
import type { FromHandlers, ToHandlers } from "./messages.ts";
import { createRuns } from "./runs.ts";
import { createWatchdog, LOADS_WITHIN_MS, SILENT_AFTER_MS } from "./watchdog.ts";

/** The operating system's part of a process. */
export type SpawnedProcess = {
  readonly pid: number;
  /** A message to a process that has ended is dropped. */
  readonly send: (message: ToHandlers) => void;
  /** Kills the process, its process group and these groups. A process or group that has ended is no error. */
  readonly kill: (groups: readonly number[]) => void;
};

export type ProcessExit = { readonly code: number | null; readonly signal: string | null };

/** Starts a process that loads the module. `ended` is called once, when the process has ended. */
export type SpawnHandlers = (on: {
  readonly message: (message: FromHandlers) => void;
  readonly ended: (exit: ProcessExit) => void;
}) => SpawnedProcess;

type State = "loading" | "ready" | "retired";
export type KillReason = "overtime" | "silence" | "shutdown";

/** A process that has ended. */
export type EndedProcess = {
  readonly state: State;
  /** A handler has ended in it. */
  readonly hasWorked: boolean;
  /** The error that the process reported before its end. */
  readonly fault: string | null;
  /** The cause of the end, for people. */
  readonly why: string;
};

export interface HandlerProcess {
  readonly pid: number;
  readonly isSolo: boolean;
  /** The number of its runs, plus a large number if it is quiet; null if it accepts no tasks. */
  load(): number | null;
  run(task: HandlerTask, context: RunContext): Promise<Outcome>;
  /** Takes no more tasks, and is killed when its last run has ended. */
  retire(): void;
  /** Kills the process and all that it has started. Its runs end when it has ended. */
  kill(reason: KillReason): void;
  /** Kills the process if it is silent, or if a handler in it continues for too long after its abort. */
  check(): void;
}

export type HandlerProcessSetup = {
  readonly spawn: SpawnHandlers;
  readonly clock: Clock;
  /** Runs a single task, and is then retired. */
  readonly isSolo: boolean;
  /** Numbers the runs of all processes. */
  readonly nextRun: () => number;
  /** The module is loaded. */
  readonly onReady: (types: ReadonlyMap<string, TypeDefaults>) => void;
  readonly onExit: (ended: EndedProcess) => void;
};

/** Makes quiet processes the last choice. */
const QUIET_LOAD = 1_000_000;

export function startHandlerProcess(setup: HandlerProcessSetup): HandlerProcess {
  const { clock, isSolo } = setup;
  const groups = new Set<number>(); // process groups that handlers have opened
  const spawned = setup.spawn({ message: onMessage, ended: onExit });
  const runs = createRuns({
    ...{ clock, nextRun: setup.nextRun, send: spawned.send },
    onLeaseOver: () => kill("overtime"), // the interval of `check` is too long for a short lease
  });
  const watchdog = createWatchdog(clock);
  let state: State = "loading";
  let hasWorked = false;
  let fault: string | null = null;
  let killedFor: KillReason | null = null;

  // ---- messages

  function onMessage(message: FromHandlers): void {
    watchdog.heard();
    switch (message.kind) {
      case "ready":
        onReady(message);
        break;
      case "load_failed":
      case "uncaught_error":
        fault = message.message;
        break;
      case "update":
        runs.report(message);
        break;
      case "ended":
        onEnded(message);
        break;
      case "group":
        if (message.isOpen) groups.add(message.pid);
        else groups.delete(message.pid);
        break;
      case "heartbeat":
        break;
      default:
        message satisfies never;
    }
  }

  function onReady({ types }: Extract<FromHandlers, { kind: "ready" }>): void {
    if (state !== "loading") return;
    state = "ready";
    setup.onReady(new Map(types));
  }

  function onEnded({ run: id, outcome }: Extract<FromHandlers, { kind: "ended" }>): void {
    hasWorked = true;
    runs.end(id, outcome);
    if (runs.size === 0 && (isSolo || state === "retired")) retire();
  }

  function onExit(exit: ProcessExit): void {
    spawned.kill([...groups]); // what the process has started may still run
    const why = causeOf({ exit, fault, killedFor, isLoading: state === "loading" });
    runs.endAll((wasStopped) => lastOutcome(wasStopped, why));
    setup.onExit({ state, hasWorked, fault, why });
  }

  /**
   * A run is released if it was told to stop, or if the process was killed for a shutdown or because of a run that did not stop.
   * After a crash or a silence, any run may be the cause, so the other runs are lost.
   */
  function lastOutcome(wasStopped: boolean, why: string): Outcome {
    const isInnocent = killedFor === "shutdown" || killedFor === "overtime";
    if (isInnocent || wasStopped) return { kind: "released", delayMs: 0 };
    return { kind: "lost", message: `The process of its handler ended: ${why}` };
  }

  // ---- the end

  function retire(): void {
    state = "retired";
    if (runs.size === 0) kill("shutdown");
  }

  function kill(reason: KillReason): void {
    killedFor ??= reason;
    spawned.kill([...groups]);
  }

  function check(): void {
    if (killedFor !== null) return;
    if (runs.hasOvertime()) kill("overtime");
    else if (watchdog.isSilent(state === "loading")) kill("silence");
  }

  function load(): number | null {
    if (state !== "ready" || killedFor !== null) return null;
    return runs.size + (watchdog.isQuiet() ? QUIET_LOAD : 0);
  }

  return { pid: spawned.pid, isSolo, load, run: runs.start, retire, kill, check };
}

type End = {
  readonly exit: ProcessExit;
  readonly fault: string | null;
  readonly killedFor: KillReason | null;
  readonly isLoading: boolean;
};

function causeOf({ exit: { code, signal }, fault, killedFor, isLoading }: End): string {
  if (killedFor === "silence" && isLoading) {
    return `killed: the module was not loaded within ${LOADS_WITHIN_MS / 1_000} s`;
  }
  if (killedFor === "silence") return `killed: it sent no message for ${SILENT_AFTER_MS / 1_000} s`;
  if (killedFor === "overtime") return "killed: a task in it did not stop in time";
  const how = signal === null ? `exit code ${code}` : `signal ${signal}`;
  return storableText(`${how}${fault === null ? "" : `: ${fault}`}`, LIMITS.messageLength);
}
