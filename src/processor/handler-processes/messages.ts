/** What a server and the processes that run its handlers say to each other, over a pipe, as JSON. */
import type { TypeDefaults } from "../../core/lifecycle.ts";
import type { Outcome } from "../../core/outcome.ts";
import type { LogLevel, Progress } from "../../core/task.ts";
import type { HandlerTask } from "../handler.ts";
import type { StopReason } from "../stop.ts";

/** A task in transit: its payload is sent as text, because the pipe would print a parsed payload again. */
export type SentTask = Omit<HandlerTask, "payload">;

/** `run` numbers the runs of one server. */
export type ToHandlers =
  | { readonly kind: "run"; readonly run: number; readonly task: SentTask }
  | { readonly kind: "stop"; readonly run: number; readonly reason: StopReason };

export type FromHandlers =
  /** The module is loaded. */
  | { readonly kind: "ready"; readonly types: readonly (readonly [type: string, TypeDefaults])[] }
  /** The module cannot be loaded; the process ends. */
  | { readonly kind: "unfit"; readonly message: string }
  /** Said every BEAT_EVERY_MS by a process whose event loop turns. */
  | { readonly kind: "beat" }
  | {
      readonly kind: "news";
      readonly run: number;
      readonly progress: Progress | null;
      readonly log: readonly { readonly level: LogLevel; readonly message: string }[];
    }
  | { readonly kind: "ended"; readonly run: number; readonly outcome: Outcome }
  /** A process group was opened by a handler, or has gone. */
  | { readonly kind: "group"; readonly pid: number; readonly isOpen: boolean }
  /** Last words: nobody has caught this error, and the process ends of it. */
  | { readonly kind: "dying"; readonly message: string };

export const BEAT_EVERY_MS = 1_000;
