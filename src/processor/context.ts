/**
 * What a handler says while it works, made into what every server and every store can keep. Handlers are written in JavaScript,
 * too: whatever they pass, a task does not fail of it, nor does the heartbeat that carries the words of its neighbours.
 */
import { LIMITS, type LogLevel, type Progress, storableText } from "../core/task.ts";
import { textOf } from "../lib/text.ts";
import type { RunContext } from "./handler.ts";

export type Line = { readonly level: LogLevel; readonly message: string };

/** What has been said and not yet been passed on. */
export type Said = { progress: Progress | null; log: Line[] };

export type ContextSetup = {
  readonly said: Said;
  readonly signal: () => AbortSignal;
  readonly leaseOver?: () => AbortSignal;
  /** Whether the attempt has ended: what a handler says after that goes nowhere. */
  readonly isOver: () => boolean;
  readonly onSaid: () => void;
};

export function createContext({ said, signal, leaseOver, isOver, onSaid }: ContextSetup): RunContext {
  return {
    get signal() {
      return signal();
    },
    get leaseOver() {
      return leaseOver?.();
    },
    progress: (percent: unknown, message: unknown = "") => {
      if (isOver()) return;
      said.progress = { percent: percentOf(percent), message: wordsOf(message ?? "") };
      onSaid();
    },
    log: (message: unknown, level: unknown = "info") => {
      if (isOver()) return;
      said.log.push({ level: levelOf(level), message: wordsOf(message) });
      if (said.log.length > LIMITS.logLinesKept) said.log.shift();
      onSaid();
    },
  };
}

const wordsOf = (message: unknown): string => storableText(textOf(message), LIMITS.messageLength);

/** 0 for what is no number. */
export function percentOf(value: unknown): number {
  try {
    const percent = Number(value);
    return Number.isFinite(percent) ? Math.min(100, Math.max(0, percent)) : 0;
  } catch {
    return 0; // a symbol, or an object whose own code throws
  }
}

/** What other logging libraries call the four levels. */
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

/** "info" for what is no level. */
export const levelOf = (level: unknown): LogLevel =>
  (typeof level === "string" ? LEVEL_NAMES.get(level.toLowerCase()) : undefined) ?? "info";
