/**
 * The inside of a process that runs handlers: it runs the tasks that its server sends, and reports progress,
 * log lines and outcomes. Leases and timeouts stay with the server, which kills the process if necessary.
 */
import type { Clock } from "../core/clock.ts";
import { createContexts, type Unsent } from "../processor/context.ts";
import { attempt } from "../processor/execute.ts";
import { type Handler, verdictOf } from "../processor/handler.ts";
import {
  type FromHandlers,
  HEARTBEAT_EVERY_MS,
  type SentTask,
  type ToHandlers,
} from "../processor/handler-processes/messages.ts";
import type { StopReason } from "../processor/stop.ts";
import type { ReadHandlers } from "./module.ts";

export interface HandlersChild {
  /** Starts the heartbeats. */
  start(): void;
  /** The module is loaded: the process accepts tasks. */
  ready(handlers: ReadHandlers): void;
  take(message: ToHandlers): void;
}

/** Progress and log lines are sent at most this often: a handler may report in a loop. */
const REPORT_EVERY_MS = 50;

type Run = Unsent & {
  readonly id: number;
  readonly stop: AbortController;
  /** A message with progress and log lines is due. */
  isWaiting: boolean;
};

export function createHandlersChild(setup: {
  readonly send: (message: FromHandlers) => void;
  readonly clock: Clock;
}): HandlersChild {
  const { send, clock } = setup;
  const runs = new Map<number, Run>();
  let handlers: ReadHandlers = new Map();

  function heartbeat(): void {
    send({ kind: "heartbeat" });
    clock.after(HEARTBEAT_EVERY_MS, heartbeat);
  }

  async function execute(id: number, sent: SentTask): Promise<void> {
    const task = { ...sent, payload: sent.payloadText === null ? null : JSON.parse(sent.payloadText) };
    const run: Run = { ...{ id, stop: new AbortController(), progress: null }, log: [], isWaiting: false };
    runs.set(id, run);
    const handler = handlers.get(task.type)?.handler ?? unknownType;
    const outcome = await attempt(handler, task, contextOf(run));
    report(run);
    runs.delete(id);
    send({ kind: "ended", run: id, outcome });
  }

  const contextOf = createContexts<Run>({
    signal: (run) => run.stop.signal,
    isOver: (run) => !runs.has(run.id),
    onReport: reportSoon,
  });

  function reportSoon(run: Run): void {
    if (run.isWaiting) return;
    run.isWaiting = true;
    clock.after(REPORT_EVERY_MS, () => report(run));
  }

  function report(run: Run): void {
    run.isWaiting = false;
    if (run.progress === null && run.log.length === 0) return;
    send({ kind: "update", run: run.id, progress: run.progress, log: run.log });
    run.progress = null;
    run.log = [];
  }

  const stopRun = (id: number, reason: StopReason): void => runs.get(id)?.stop.abort(reason);

  return {
    start: heartbeat,
    ready: (loaded) => {
      handlers = loaded;
      send({ kind: "ready", types: [...loaded].map(([type, { defaults }]) => [type, defaults]) });
    },
    take: (message) => {
      if (message.kind === "run") void execute(message.run, message.task);
      else stopRun(message.run, message.reason);
    },
  };
}

/** Another process of the same server has loaded a module that has the type; this process releases the task. */
const unknownType: Handler = () => Promise.resolve(verdictOf({ kind: "released", delayMs: 1_000 }));
