/** What a program says, turned into what its task shows: progress, log lines and, at its end, the result. */
import type { Clock } from "../core/clock.ts";
import { FAILURES } from "../core/outcome.ts";
import { LIMITS, type LogLevel, storableText } from "../core/task.ts";
import { fail, type HandlerContext, readResult } from "../processor/handler.ts";
import { createLines, type Line, type Lines } from "./lines.ts";

export interface Output {
  readonly stdout: Lines;
  readonly stderr: Lines;
  /** What stderr said last; empty when it was silent. */
  readonly lastError: string;
  /**
   * Says what is still held back. What the last line of stdout meant as the result, parsed, or null; of a program that failed it
   * is a line like any other. Throws the verdict `result_too_large`.
   */
  end(succeeded: boolean): unknown;
}

/** Four bytes are the most that a character takes. */
const LINE_BYTES = 4 * LIMITS.messageLength;
/** `progress 40`, `progress 99.5 nearly there` */
const PROGRESS = /^progress\s+(\d+(?:\.\d+)?)(?:\s+(.*))?$/;
const [OBJECT, LIST] = ["{", "["].map((text) => text.charCodeAt(0));

export function createOutput(context: Pick<HandlerContext, "log" | "progress">, clock: Clock): Output {
  const talk = createTalk(context, clock);
  let held: Line | null = null; // the result, unless another line follows
  let lastError = "";

  function told(line: Line): void {
    giveUpHeld();
    const [, percent, message] = PROGRESS.exec(line.text) ?? [];
    if (percent !== undefined && Number(percent) <= 100) talk.progress(Number(percent), message ?? "");
    else if (looksLikeResult(line)) held = line;
    else talk.log(line.text, "info");
  }

  function giveUpHeld(): void {
    if (held !== null) talk.log(held.text, "info");
    held = null;
  }

  function resultOf(line: Line): unknown {
    if (line.isCut) {
      throw fail(`The result has more than the ${LIMITS.resultBytes} bytes that are kept`, {
        code: FAILURES.resultTooLarge,
        retryable: false,
      });
    }
    const result = readResult(line.text);
    if (result === null) talk.log(line.text, "info"); // it only looked like JSON
    return result?.value ?? null;
  }

  const stdout = createLines({
    bytesKept: (first) => (first === OBJECT || first === LIST ? LIMITS.resultBytes : LINE_BYTES),
    tell: told,
  });
  const stderr = createLines({
    bytesKept: () => LINE_BYTES,
    tell: ({ text }) => {
      lastError = text;
      talk.log(text, "warn");
    },
  });

  return {
    stdout,
    stderr,
    get lastError() {
      return lastError;
    },
    end: (succeeded) => {
      stdout.end();
      stderr.end();
      if (!succeeded) giveUpHeld();
      try {
        return held === null ? null : resultOf(held);
      } finally {
        talk.end();
      }
    },
  };
}

/**
 * Objects and lists alone: programs end with a bare number, `true` or a quoted word by chance (`wc -l`, `md5sum`), but not with
 * one of these.
 */
const looksLikeResult = ({ text, isCut }: Line): boolean =>
  (text.startsWith("{") && (isCut || text.endsWith("}"))) ||
  (text.startsWith("[") && (isCut || text.endsWith("]")));

interface Talk {
  log(message: string, level: LogLevel): void;
  progress(percent: number, message: string): void;
  /** Says what is still held back. */
  end(): void;
}

/** As soon as somebody could read it, and not once for each of a hundred thousand lines a second. */
const TELL_EVERY_MS = 250;
const LINES_HELD = LIMITS.logLinesKept;
const CHARACTERS_HELD = 1_048_576;

type Said = { readonly message: string; readonly level: LogLevel };

/**
 * Passes on what a program says, a few times a second: of a flood the latest lines, as many as a task keeps, and how many were
 * left out; of progress the latest.
 */
function createTalk(context: Pick<HandlerContext, "log" | "progress">, clock: Clock): Talk {
  let lines: Said[] = [];
  let characters = 0;
  let leftOut = 0;
  let progress: { readonly percent: number; readonly message: string } | null = null;
  let cancelTell: (() => void) | null = null;

  function log(text: string, level: LogLevel): void {
    const message = storableText(text, LIMITS.messageLength);
    lines.push({ message, level });
    characters += message.length;
    if (lines.length > 2 * LINES_HELD || characters > 2 * CHARACTERS_HELD) leaveOut();
    tellSoon();
  }

  function leaveOut(): void {
    const first = firstKept(lines);
    leftOut += first;
    lines = lines.slice(first);
    characters = lines.reduce((sum, { message }) => sum + message.length, 0);
  }

  function tellSoon(): void {
    cancelTell ??= clock.after(TELL_EVERY_MS, tell);
  }

  function tell(): void {
    cancelTell?.();
    cancelTell = null;
    leaveOut();
    if (leftOut > 0) context.log(`… ${leftOut} lines left out`, "info");
    for (const { message, level } of lines) context.log(message, level);
    if (progress !== null) context.progress(progress.percent, progress.message);
    lines = [];
    characters = 0;
    leftOut = 0;
    progress = null;
  }

  return {
    log,
    progress: (percent, message) => {
      progress = { percent, message: storableText(message, LIMITS.messageLength) };
      tellSoon();
    },
    end: tell,
  };
}

/** Where the latest lines begin that may be held; one is left free for the word on those that were left out. */
function firstKept(lines: readonly Said[]): number {
  let characters = 0;
  const fewest = Math.max(0, lines.length - (LINES_HELD - 1));
  for (let at = lines.length; at > fewest; at--) {
    characters += lines[at - 1]?.message.length ?? 0;
    if (characters > CHARACTERS_HELD) return at;
  }
  return fewest;
}
