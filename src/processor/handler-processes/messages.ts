/** The messages between a server and the processes that run its handlers: JSON over a pipe. */
import type { TypeDefaults } from "../../core/lifecycle.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { LogLevel, Progress } from "../../core/task.ts";
import type { HandlerTask } from "../handler.ts";
import type { StopReason } from "../stop.ts";

/** A task in transit: its payload is sent as text, because the pipe would print a parsed payload in another form. */
export type SentTask = Omit<HandlerTask, "payload">;

/** `run` numbers the runs of one server. */
export type ToHandlers =
  | { readonly kind: "run"; readonly run: number; readonly task: SentTask }
  | { readonly kind: "stop"; readonly run: number; readonly reason: StopReason };

export type FromHandlers =
  /** The module is loaded. */
  | { readonly kind: "ready"; readonly types: readonly (readonly [type: string, TypeDefaults])[] }
  /** The module cannot be loaded. The process ends. */
  | { readonly kind: "load_failed"; readonly message: string }
  /** Sent every HEARTBEAT_EVERY_MS while the event loop of the process is not blocked. */
  | { readonly kind: "heartbeat" }
  | {
      readonly kind: "update";
      readonly run: number;
      readonly progress: Progress | null;
      readonly log: readonly { readonly level: LogLevel; readonly message: string }[];
    }
  | { readonly kind: "ended"; readonly run: number; readonly outcome: Outcome }
  /** A handler has opened a process group, or the group has ended. */
  | { readonly kind: "group"; readonly pid: number; readonly isOpen: boolean }
  /** An error was not caught. The process ends because of it. */
  | { readonly kind: "uncaught_error"; readonly message: string };

export const HEARTBEAT_EVERY_MS = 1_000;
