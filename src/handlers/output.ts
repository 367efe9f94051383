/** Turns the output of a program into the progress, the log lines and the result of its task. */
import type { Clock } from "../core/clock.ts";
import { FAILURES } from "../core/outcome.ts";
import { LIMITS, type LogLevel, storableText } from "../core/task.ts";
import { fail, type HandlerContext, readResult } from "../processor/handler.ts";
import { createLines, type Line, type Lines } from "./lines.ts";

export interface Output {
  readonly stdout: Lines;
  readonly stderr: Lines;
  /** The last line of stderr; empty if there was none. */
  readonly lastError: string;
  /**
   * Sends the lines that are still buffered. Returns the result that the last line of stdout contains, parsed, or
   * null. In a program that failed, this line is a log line. Throws the verdict `result_too_large`.
   */
  end(succeeded: boolean): unknown;
}

/** A character has at most four bytes. */
const LINE_BYTES = 4 * LIMITS.messageLength;
/** `progress 40`, `progress 99.5 nearly there` */
const PROGRESS = /^progress\s+(\d+(?:\.\d+)?)(?:\s+(.*))?$/;
const [OBJECT, LIST] = ["{", "["].map((text) => text.charCodeAt(0));

export function createOutput(context: Pick<HandlerContext, "log" | "progress">, clock: Clock): Output {
  const report = createReport(context, clock);
  let held: Line | null = null; // the result, if it is the last line
  let lastError = "";

  function onStdout(line: Line): void {
    giveUpHeld();
    const [, percent, message] = PROGRESS.exec(line.text) ?? [];
    if (percent !== undefined && Number(percent) <= 100) report.progress(Number(percent), message ?? "");
    else if (looksLikeResult(line)) held = line;
    else report.log(line.text, "info");
  }

  function giveUpHeld(): void {
    if (held !== null) report.log(held.text, "info");
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
    if (result === null) report.log(line.text, "info"); // it is not JSON
    return result?.value ?? null;
  }

  const stdout = createLines({
    bytesKept: (first) => (first === OBJECT || first === LIST ? LIMITS.resultBytes : LINE_BYTES),
    onLine: onStdout,
  });
  const stderr = createLines({
    bytesKept: () => LINE_BYTES,
    onLine: ({ text }) => {
      lastError = text;
      report.log(text, "warn");
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
        report.end();
      }
    },
  };
}

/**
 * Objects and lists only. Programs end with a number, `true` or a quoted word by chance (`wc -l`, `md5sum`),
 * but not with one of these.
 */
const looksLikeResult = ({ text, isCut }: Line): boolean =>
  (text.startsWith("{") && (isCut || text.endsWith("}"))) ||
  (text.startsWith("[") && (isCut || text.endsWith("]")));

interface Report {
  log(message: string, level: LogLevel): void;
  progress(percent: number, message: string): void;
  /** Sends the lines that are still buffered. */
  end(): void;
}

/** Lines and progress are passed on at most this often: a program may write a hundred thousand lines a second. */
const FLUSH_EVERY_MS = 250;
const LINES_HELD = LIMITS.logLinesKept;
const CHARACTERS_HELD = 1_048_576;

type Said = { readonly message: string; readonly level: LogLevel };

/**
 * Sends lines and progress a few times a second. If there are more lines than a task keeps, it sends the
 * latest ones and the number of omitted lines. It sends only the latest progress.
 */
function createReport(context: Pick<HandlerContext, "log" | "progress">, clock: Clock): Report {
  let lines: Said[] = [];
  let characters = 0;
  let leftOut = 0;
  let progress: { readonly percent: number; readonly message: string } | null = null;
  let cancelFlush: (() => void) | null = null;

  function log(text: string, level: LogLevel): void {
    const message = storableText(text, LIMITS.messageLength);
    lines.push({ message, level });
    characters += message.length;
    if (lines.length > 2 * LINES_HELD || characters > 2 * CHARACTERS_HELD) leaveOut();
    flushSoon();
  }

  function leaveOut(): void {
    const first = firstKept(lines);
    leftOut += first;
    lines = lines.slice(first);
    characters = lines.reduce((sum, { message }) => sum + message.length, 0);
  }

  function flushSoon(): void {
    cancelFlush ??= clock.after(FLUSH_EVERY_MS, flush);
  }

  function flush(): void {
    cancelFlush?.();
    cancelFlush = null;
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
      flushSoon();
    },
    end: flush,
  };
}

/** The index of the first line that is kept. One place is left for the line with the number of omitted lines. */
function firstKept(lines: readonly Said[]): number {
  let characters = 0;
  const fewest = Math.max(0, lines.length - (LINES_HELD - 1));
  for (let at = lines.length; at > fewest; at--) {
    characters += lines[at - 1]?.message.length ?? 0;
    if (characters > CHARACTERS_HELD) return at;
  }
  return fewest;
}
