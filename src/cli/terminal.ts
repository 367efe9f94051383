/** The surroundings of a command: its output, its input, its clock and its signals. */
import { readFile } from "node:fs/promises";
import type { Clock } from "../core/clock.ts";
import { systemClock } from "../lib/system-clock.ts";
import { OK } from "./exit-codes.ts";
import { ignoresHangup } from "./hangup.ts";

export type Output = {
  /** Whether the output is a terminal. */
  readonly isTerminal: boolean;
  /** The present size. */
  readonly size: () => { readonly columns: number; readonly rows: number };
  readonly write: (text: string) => void;
};

export interface Terminal {
  readonly out: Output;
  readonly err: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Reads the standard input to its end. */
  readInput(): Promise<string>;
  readFile(path: string): Promise<string>;
  /** Asks a question; null without a terminal. */
  ask(question: string): Promise<string | null>;
  /** Calls the listener when the size has changed. The result removes the listener. */
  onResize(run: () => void): () => void;
  /** Calls the listener after a Ctrl-C or another ending signal, with the exit code. The result removes the listener. */
  onInterrupt(run: (exitCode: number) => void): () => void;
  /** Resolves when all output is written, so that a fast writer waits for a slow reader. */
  flushed(): Promise<void>;
}

/** Whether lines can be drawn again in place. A dumb terminal cannot do that. */
export const canRedraw = ({ out, env }: Terminal): boolean => out.isTerminal && env.TERM !== "dumb";

/** The width in columns; infinite for a file or a pipe, so that nothing is cut. */
export const widthFor = (out: Output): number =>
  out.isTerminal ? out.size().columns : Number.POSITIVE_INFINITY;

const USUAL_SIZE = { columns: 80, rows: 24 };
/** Exit codes as shells use them. */
const ENDING_SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** The terminal of this process. */
export function createTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  return {
    ...{ out: outputOf(stdout), err: outputOf(stderr), env: process.env, clock: systemClock },
    readInput: () => Bun.stdin.text(),
    readFile: (path) => readFile(path, "utf8"),
    ask: async (question) => {
      if (stdin.isTTY !== true || stdout.isTTY !== true) return null;
      stdout.write(question);
      return firstLine(stdin);
    },
    onResize: (run) => {
      stdout.on("resize", run);
      return () => void stdout.off("resize", run);
    },
    onInterrupt: (run) => {
      const signals = Object.entries(ENDING_SIGNALS).filter(
        ([signal]) => signal !== "SIGHUP" || !ignoresHangup(),
      );
      const undo = signals.map(([signal, exitCode]) => {
        const listener = (): void => run(exitCode);
        process.on(signal, listener);
        return () => void process.off(signal, listener);
      });
      return () => {
        for (const one of undo) one();
      };
    },
    flushed: () =>
      new Promise((resolve) => {
        stdout.write("", () => resolve());
      }),
  };
}

const outputOf = (stream: NodeJS.WriteStream): Output => ({
  isTerminal: stream.isTTY === true,
  size: () => ({
    columns: stream.columns || USUAL_SIZE.columns,
    rows: stream.rows || USUAL_SIZE.rows,
  }),
  write: (text) => void stream.write(text),
});

/**
 * The reader may have closed the pipe (`tasktrack list | head -1`). That is not an error, and there is no output left to report
 * it on.
 */
export function endWithOutput(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error) => {
      if (!("code" in error) || error.code !== "EPIPE") throw error;
      process.exit(OK);
    });
  }
}

/** For commands whose output is not their purpose: after a closed pipe, a full disk or a lost terminal, only lines are lost. */
export function outliveOutput(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
}

function firstLine(stdin: NodeJS.ReadStream): Promise<string> {
  return new Promise((resolve) => {
    let text = "";
    const end = (): void => {
      stdin.off("data", take).off("end", end).pause();
      resolve(text.split("\n")[0]?.trim() ?? "");
    };
    const take = (chunk: Buffer | string): void => {
      text += String(chunk);
      if (text.includes("\n")) end();
    };
    stdin.on("data", take).on("end", end);
  });
}
