/** A handler that runs a program. Its arguments come from the task, and its output goes to the task. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { parseDurationMs } from "../core/duration.ts";
import { createBackoff } from "../lib/backoff.ts";
import { systemClock } from "../lib/system-clock.ts";
import { onAbort, sleep, within } from "../lib/waiting.ts";
import {
  fail,
  type Handler,
  type HandlerContext,
  type HandlerTask,
  payloadTextOf,
  type Verdict,
} from "../processor/handler.ts";
import { fillIn, hasPlaces, parseTemplate, type Template } from "./argv.ts";
import { isGroupGone, openGroup, signalGroup } from "./groups.ts";
import type { Lines } from "./lines.ts";
import { createOutput, type Output } from "./output.ts";

export type CommandOptions = {
  /** The working directory of the program; that of the worker by default. */
  readonly cwd?: string;
  /** Variables in addition to the environment of the worker. */
  readonly env?: Readonly<Record<string, string>>;
  /** Exit codes that another attempt would have again: the task fails at once, without further attempts. */
  readonly permanentExitCodes?: readonly number[];
  /** Allows an argument to begin with a value of the task that begins with "-", although the program takes it for an option. */
  readonly allowDashes?: boolean;
  /** How long the program may run after SIGTERM; "2s" by default. */
  readonly killAfter?: string;
};

type Settings = {
  readonly program: string;
  readonly args: readonly Template[];
  readonly cwd: string | undefined;
  readonly env: Readonly<Record<string, string>>;
  readonly permanentExitCodes: readonly number[];
  readonly allowDashes: boolean;
  readonly killAfterMs: number;
};

/**
 * Shorter than the three seconds that a worker gives its handlers at its own end, so that the task is given
 * back and not lost.
 */
const KILL_AFTER = "2s";
/** How long the output of an ended program is read, if a process outside its group keeps it open. */
const DRAIN_MS = 1_000;
/** The interval between two checks of a process group that was killed. */
const LOOK = { firstMs: 1, longestMs: 100 };
/** How long output is read before the event loop may do other work. */
const TURN_MS = 5;

/**
 * Makes a handler that runs a program. In its arguments, the placeholders `{payload.a.b}`, `{payload.list.0}`, `{payload}`, `{id}`,
 * `{name}`, `{type}` and `{attempt}` are replaced by values of the task; `{{` and `}}` are braces. There is no shell: a value is a
 * part of one argument, whatever it contains. The program gets the payload as JSON on stdin. Its lines become the log of the task, a
 * line `progress 40 some words` its progress, and a JSON object or list as the last line of stdout its result.
 *
 * Exit code 0 is success. Any other code is a failure, such as `exit_1`, that is retried while attempts are left. When the task is
 * cancelled, the program and all that it has started get SIGTERM, and SIGKILL if it has not ended after `killAfter`.
 * @param argv the program, which is searched on the PATH, and its arguments
 * @throws TypeError for an empty argv, a placeholder that no task can fill, or an invalid option
 * @example
 * export default {
 *   "video.encode": command(["ffmpeg", "-nostdin", "-i", "{payload.input}", "{payload.output}"]),
 * };
 */
export function command(argv: readonly string[], options: CommandOptions = {}): Handler {
  const settings = settingsOf(argv, options);
  return async (task, context) => {
    const { signal } = context;
    const args = settings.args.map((template) => fillIn(template, task, settings.allowDashes));
    if (signal.aborted) throw stopped(signal);
    const child = await begin(settings, args, task);
    const output = createOutput(context, systemClock);
    child.stdin?.end(payloadTextOf(task));
    const ended = await endOf(child, { output, signal, killAfterMs: settings.killAfterMs });
    const result = output.end(ended.code === 0);
    // A program that was told to stop may exit with 0. That does not prove that its work is done.
    if (ended.wasTold) throw stopped(signal);
    return ended.code === 0 ? result : failureOf(ended, settings, output.lastError);
  };
}

const stopped = ({ reason }: AbortSignal): Error => new Error(`Stopped: ${String(reason)}`);

// ---- options

function settingsOf(argv: readonly string[], options: CommandOptions): Settings {
  const [program, ...args] = argv;
  if (program === undefined || program === "" || argv.some((argument) => typeof argument !== "string")) {
    throw new TypeError(`command: expected a program and its arguments, got ${JSON.stringify(argv)}`);
  }
  const first = parseTemplate(program);
  if (hasPlaces(first)) {
    throw new TypeError(`command: a task may not choose the program, got ${JSON.stringify(program)}`);
  }
  return {
    program: first.join(""),
    args: args.map(parseTemplate),
    cwd: options.cwd,
    env: options.env ?? {},
    permanentExitCodes: exitCodesOf(options.permanentExitCodes ?? []),
    allowDashes: options.allowDashes ?? false,
    killAfterMs: killAfterOf(options.killAfter ?? KILL_AFTER),
  };
}

function exitCodesOf(codes: readonly number[]): readonly number[] {
  const wrong = codes.find((code) => !Number.isInteger(code) || code < 1 || code > 255);
  if (wrong === undefined) return codes;
  throw new TypeError(`command: permanentExitCodes are whole numbers from 1 to 255, got ${wrong}`);
}

function killAfterOf(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= 0) return ms;
  throw new TypeError(`command: expected a duration such as "2s" for killAfter, got ${JSON.stringify(text)}`);
}

// ---- one run

/**
 * Starts the program as the leader of a session of its own: a signal reaches all processes that it starts, and a terminal's Ctrl-C
 * reaches none of them. node:child_process is the same in Bun, Node.js and Deno.
 */
async function begin(settings: Settings, args: readonly string[], task: HandlerTask): Promise<ChildProcess> {
  const { program, cwd } = settings;
  try {
    const child = spawn(program, args, { cwd, env: environmentOf(settings, task), detached: true });
    child.stdin.on("error", ignore); // the program did not read its input, which is allowed
    await new Promise((resolve, reject) => child.once("spawn", resolve).once("error", reject));
    return child;
  } catch (error) {
    throw startFailure(error as NodeJS.ErrnoException, settings); // spawn throws and emits such errors
  }
}

const environmentOf = ({ env }: Settings, { id, attempt, type }: HandlerTask): NodeJS.ProcessEnv => ({
  ...process.env,
  ...env,
  TASKTRACK_TASK_ID: String(id),
  TASKTRACK_ATTEMPT: String(attempt),
  TASKTRACK_TYPE: type,
});

function startFailure(error: NodeJS.ErrnoException, { program, cwd }: Settings): Verdict {
  const forGood = (code: string, message: string): Verdict => fail(message, { code, retryable: false });
  switch (error.code) {
    case "ENOENT":
    case "ENOTDIR":
      return cwd !== undefined && !existsSync(cwd)
        ? forGood("command_not_found", `The folder ${cwd} does not exist, so ${program} cannot run in it`)
        : forGood(
            "command_not_found",
            `${program} was not found, or the interpreter in its first line was not found`,
          );
    case "EACCES":
    case "EPERM":
    case "ENOEXEC":
      return forGood(
        "command_not_executable",
        `${program} cannot be executed, or is not a program: ${error.code}`,
      );
    case "E2BIG":
      return forGood("command_too_long", `The arguments of ${program} are longer than this machine allows`);
    default: // too many processes or open files: a later attempt may succeed
      return fail(`${program} could not be started: ${error.message}`, { code: "command_not_started" });
  }
}

type Ended = { readonly code: number | null; readonly signal: string | null; readonly wasTold: boolean };

type Run = {
  readonly output: Output;
  readonly signal: HandlerContext["signal"];
  readonly killAfterMs: number;
};

/** Resolves when the program has ended, no process of its group is left and its output is read. */
async function endOf(child: ChildProcess, { output, signal, killAfterMs }: Run): Promise<Ended> {
  const pid = child.pid ?? Number.NaN; // it has started
  const close = openGroup(pid);
  const drained = Promise.all([read(child.stdout, output.stdout), read(child.stderr, output.stderr)]);
  const order = stopOn(signal, pid, killAfterMs);
  const ended = await exitOf(child);
  order.cancel();
  await endGroup(pid);
  close();
  await within(systemClock, DRAIN_MS, drained, undefined);
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
  return { ...ended, wasTold: order.isGiven() };
}

const exitOf = (child: ChildProcess): Promise<Pick<Ended, "code" | "signal">> =>
  new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));

/** Reads to the end, with pauses: a program that never pauses would block the event loop. */
const read = (stream: ChildProcess["stdout"], lines: Lines): Promise<void> =>
  new Promise((resolve) => {
    let turnEndsAt = 0;
    stream
      ?.on("data", (chunk: Uint8Array) => {
        lines.feed(chunk);
        if (systemClock.monotonic() < turnEndsAt) return;
        stream.pause();
        systemClock.after(0, () => {
          turnEndsAt = systemClock.monotonic() + TURN_MS;
          stream.resume();
        });
      })
      .on("error", ignore)
      .once("close", resolve);
  });

/** A broken pipe means that the other side has ended. `exit` reports that as well. */
const ignore = (): void => undefined;

/** Sends SIGTERM when the signal aborts, and SIGKILL later if the program has not ended. */
function stopOn(signal: AbortSignal, pid: number, killAfterMs: number) {
  let isGiven = false;
  let cancelKill = (): void => undefined;
  const unlisten = onAbort(signal, () => {
    isGiven = true;
    signalGroup(pid, "SIGTERM");
    cancelKill = systemClock.after(killAfterMs, () => void signalGroup(pid, "SIGKILL"));
  });
  return {
    isGiven: () => isGiven,
    cancel: () => {
      unlisten();
      cancelKill();
    },
  };
}

/**
 * Kills the processes that outlive the leader of the group. The signal is sent again, because one of them may
 * have started another meanwhile.
 */
async function endGroup(pid: number): Promise<void> {
  const backoff = createBackoff(LOOK);
  while (signalGroup(pid, "SIGKILL")) {
    if (isGroupGone(pid)) return;
    await sleep(systemClock, backoff.failed());
  }
}

function failureOf({ code, signal }: Ended, settings: Settings, lastError: string): Verdict {
  const what = signal === null ? `exited with code ${code}` : `was ended by ${signal}`;
  const why = lastError === "" ? "" : `: ${lastError}`;
  return fail(`${settings.program} ${what}${why}`, {
    code: signal === null ? `exit_${code}` : `signal_${signal}`,
    retryable: code === null || !settings.permanentExitCodes.includes(code),
  });
}
