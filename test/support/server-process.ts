/** The server as a process, as users run it. Tests use it over HTTP and send signals. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { eventually } from "./eventually.ts";

const ROOT = join(import.meta.dir, "../..");

export type Ended = {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
};
export type LogEvent = Readonly<Record<string, unknown>> & { readonly event: string };

export interface ServerProcess {
  readonly pid: number;
  /** The URL at which it listens, after it has logged it; throws if it ends before. */
  url(): Promise<string>;
  /** Its output so far. */
  written(): { readonly stdout: string; readonly stderr: string };
  /** Its log events so far. */
  events(): readonly LogEvent[];
  /** Closes the pipe of its output. */
  closeOutput(): void;
  /** Its output is not read until it is resumed. */
  pauseOutput(): void;
  resumeOutput(): void;
  /** Sends a signal to the started process only. */
  kill(signal: NodeJS.Signals): void;
  /** Sends a signal to the process and all processes that it has started. */
  killGroup(signal: NodeJS.Signals): void;
  readonly ended: Promise<Ended>;
}

type Options = {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Its standard input; empty by default. */
  readonly input?: string;
};

/** `tasktrack …` */
export const tasktrack = (args: readonly string[], options: Options = {}): ServerProcess =>
  start(process.execPath, ["--no-env-file", join(ROOT, "src/main.ts"), ...args], options);

/** The single-file executable at this path. */
export const executable = (path: string, args: readonly string[], options: Options = {}): ServerProcess =>
  start(path, args, options);

/** `npm start` */
export const npmStart = (env: Readonly<Record<string, string>>): ServerProcess =>
  start("npm", ["start"], { env, cwd: ROOT });

const started = new Set<ChildProcess>();

/** Ends the processes that a test has left running. */
export function killLeftovers(): void {
  for (const child of started) killGroupOf(child, "SIGKILL");
}

function start(
  command: string,
  args: readonly string[],
  { env = {}, cwd = ROOT, input = "" }: Options,
): ServerProcess {
  const child = spawn(command, args, {
    cwd,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    detached: true, // a group of its own
    stdio: ["pipe", "pipe", "pipe"],
  });
  started.add(child);
  child.stdin.on("error", () => undefined).end(input); // a program that does not read its input may end first
  let stdout = "";
  let stderr = "";
  let over = false;
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      over = true;
      started.delete(child);
      resolve({ code, signal, stdout, stderr });
    });
  });

  // Tests ask for the events often: each line is parsed once.
  const parsed: LogEvent[] = [];
  let parsedUpTo = 0;
  const events = (): readonly LogEvent[] => {
    const end = stdout.lastIndexOf("\n") + 1;
    for (const line of stdout.slice(parsedUpTo, end).split("\n")) {
      if (line.startsWith("{")) parsed.push(JSON.parse(line) as LogEvent); // the lines of the log are JSON objects
    }
    parsedUpTo = end;
    return [...parsed];
  };

  return {
    pid: child.pid ?? Number.NaN,
    written: () => ({ stdout, stderr }),
    events,
    ended,
    closeOutput: () => {
      for (const stream of [child.stdout, child.stderr]) stream.destroy();
    },
    pauseOutput: () => void child.stdout.pause(),
    resumeOutput: () => void child.stdout.resume(),
    url: async () => {
      const listening = () => events().find(({ event }) => event === "listening");
      await eventually(listening, (event) => over || event !== undefined);
      const event = listening();
      if (event === undefined) throw new Error(`the server did not start: ${stderr}`);
      return String(event.url);
    },
    kill: (signal) => void child.kill(signal),
    killGroup: (signal) => killGroupOf(child, signal),
  };
}

function killGroupOf(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid !== undefined) process.kill(-child.pid, signal);
}
