/**
 * Converts a handler's progress and log lines into values that every server and every store accepts. Handlers may be written in
 * JavaScript, so the values may be of any type. No value may fail the task, or the heartbeat that also carries the lines of other
 * tasks.
 */
import { LIMITS, type LogLevel, type Progress, storableText } from "../core/task.ts";
import { textOf } from "../lib/text.ts";
import type { RunContext } from "./handler.ts";

export type Line = { readonly level: LogLevel; readonly message: string };

/** The progress and the lines that have not been sent yet. */
export type Unsent = { progress: Progress | null; log: Line[] };

export type ContextSetup = {
  readonly unsent: Unsent;
  readonly signal: () => AbortSignal;
  readonly leaseOver?: () => AbortSignal;
  /** Whether the attempt has ended: later calls have no effect. */
  readonly isOver: () => boolean;
  readonly onReport: () => void;
};

export function createContext({ unsent, signal, leaseOver, isOver, onReport }: ContextSetup): RunContext {
  return {
    get signal() {
      return signal();
    },
    get leaseOver() {
      return leaseOver?.();
    },
    progress: (percent: unknown, message: unknown = "") => {
      if (isOver()) return;
      unsent.progress = { percent: percentOf(percent), message: wordsOf(message ?? "") };
      onReport();
    },
    log: (message: unknown, level: unknown = "info") => {
      if (isOver()) return;
      unsent.log.push({ level: levelOf(level), message: wordsOf(message) });
      if (unsent.log.length > LIMITS.logLinesKept) unsent.log.shift();
      onReport();
    },
  };
}

const wordsOf = (message: unknown): string => storableText(textOf(message), LIMITS.messageLength);

/** 0 for a value that is not a number. */
export function percentOf(value: unknown): number {
  try {
    const percent = Number(value);
    return Number.isFinite(percent) ? Math.min(100, Math.max(0, percent)) : 0;
  } catch {
    return 0; // a symbol, or an object whose own code throws
  }
}

/** Names that other logging libraries use for the four levels. */
const LEVEL_NAMES: ReadonlyMap<string, LogLevel> = new Map([
  ["trace", "debug"],
  ["verbose", "debug"],
  ["debug", "debug"],
  ["notice", "info"],
  ["warn", "warn"],
  ["warning", "warn"],
  ["error", "error"],
  ["err", "error"],
  ["critical", "error"],
  ["fatal", "error"],
  ["alert", "error"],
  ["emergency", "error"],
]);

/** "info" for a value that is not a level. */
export const levelOf = (level: unknown): LogLevel =>
  (typeof level === "string" ? LEVEL_NAMES.get(level.toLowerCase()) : undefined) ?? "info";
