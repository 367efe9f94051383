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

/** How a context reaches the parts of its run. One for all runs, so that a run costs no more than its context. */
export type ContextSetup<Run> = {
  readonly signal: (run: Run) => AbortSignal;
  readonly leaseOver?: (run: Run) => AbortSignal;
  readonly onStop?: (run: Run, listener: (reason: unknown) => void) => void;
  /** Whether the attempt has ended: later calls have no effect. */
  readonly isOver: (run: Run) => boolean;
  readonly onReport: (run: Run) => void;
};

export const createContexts =
  <Run extends Unsent>(of: ContextSetup<Run>) =>
  (run: Run): RunContext => ({
    get signal() {
      return of.signal(run);
    },
    get leaseOver() {
      return of.leaseOver?.(run);
    },
    onStop: of.onStop && ((listener) => of.onStop?.(run, listener)),
    progress: (percent: unknown, message: unknown = "") => {
      if (of.isOver(run)) return;
      run.progress = { percent: percentOf(percent), message: wordsOf(message ?? "") };
      of.onReport(run);
    },
    log: (message: unknown, level: unknown = "info") => {
      if (of.isOver(run)) return;
      run.log.push({ level: levelOf(level), message: wordsOf(message) });
      if (run.log.length > LIMITS.logLinesKept) run.log.shift();
      of.onReport(run);
    },
  });

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
