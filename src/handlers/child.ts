/**
 * The inside of a process that runs handlers: it executes what its server hands to it and says how that goes. It keeps no lease
 * and no clock of a task; who looks after it kills it.
 */
import type { Clock } from "../core/clock.ts";
import { createContext, type Said } from "../processor/context.ts";
import { attempt } from "../processor/execute.ts";
import { type Handler, type HandlerContext, verdictOf } from "../processor/handler.ts";
import {
  BEAT_EVERY_MS,
  type FromHandlers,
  type SentTask,
  type ToHandlers,
} from "../processor/handler-processes/messages.ts";
import type { StopReason } from "../processor/stop.ts";
import type { ReadHandlers } from "./module.ts";

export interface HandlersChild {
  /** Begins to say that it lives. */
  start(): void;
  /** The module is loaded: work may come. */
  ready(handlers: ReadHandlers): void;
  take(message: ToHandlers): void;
}

/** Progress and log lines are gathered for so long: a handler may speak in a loop. */
const NEWS_EVERY_MS = 50;

type Run = Said & {
  readonly id: number;
  readonly stop: AbortController;
  /** News are due to go out. */
  isWaiting: boolean;
};

export function createHandlersChild(setup: {
  readonly send: (message: FromHandlers) => void;
  readonly clock: Clock;
}): HandlersChild {
  const { send, clock } = setup;
  const runs = new Map<number, Run>();
  let handlers: ReadHandlers = new Map();

  function beat(): void {
    send({ kind: "beat" });
    clock.after(BEAT_EVERY_MS, beat);
  }

  async function execute(id: number, sent: SentTask): Promise<void> {
    const task = { ...sent, payload: sent.payloadText === null ? null : JSON.parse(sent.payloadText) };
    const run: Run = { ...{ id, stop: new AbortController(), progress: null }, log: [], isWaiting: false };
    runs.set(id, run);
    const handler = handlers.get(task.type)?.handler ?? unknownType;
    const outcome = await attempt(handler, task, contextOf(run));
    tellNews(run);
    runs.delete(id);
    send({ kind: "ended", run: id, outcome });
  }

  const contextOf = (run: Run): HandlerContext =>
    createContext({
      said: run,
      signal: () => run.stop.signal,
      isOver: () => !runs.has(run.id),
      onSaid: () => tellSoon(run),
    });

  function tellSoon(run: Run): void {
    if (run.isWaiting) return;
    run.isWaiting = true;
    clock.after(NEWS_EVERY_MS, () => tellNews(run));
  }

  function tellNews(run: Run): void {
    run.isWaiting = false;
    if (run.progress === null && run.log.length === 0) return;
    send({ kind: "news", run: run.id, progress: run.progress, log: run.log });
    run.progress = null;
    run.log = [];
  }

  const stopRun = (id: number, reason: StopReason): void => runs.get(id)?.stop.abort(reason);

  return {
    start: beat,
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

/** Another process of the same server has loaded a module that knows the type; this one gives the task back. */
const unknownType: Handler = () => Promise.resolve(verdictOf({ kind: "released", delayMs: 1_000 }));
