/** The handler with real programs, most of which are shell scripts of one line. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../../test/support/eventually.ts";
import type { Outcome } from "../core/outcome.ts";
import { LIMITS, type LogLevel } from "../core/task.ts";
import { attempt } from "../processor/execute.ts";
import { type HandlerTask, readVerdict } from "../processor/handler.ts";
import { type CommandOptions, command } from "./command.ts";
import { killAllGroups, listenToGroups } from "./groups.ts";

let folder: string;
beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "command-")));
});
afterAll(() => rmSync(folder, { recursive: true }));

type Seen = {
  readonly log: { message: string; level: LogLevel }[];
  readonly progress: { percent: number; message: string }[];
};

const TASK: HandlerTask = {
  ...{
    id: 7,
    name: "a name",
    description: "",
    type: "work.it",
    tags: [],
    labels: {},
    attempt: 2,
    losses: 0,
    createdAt: 0,
  },
  payload: null,
  payloadText: null,
};

/** The end of the attempt: a result, a failure, or another thrown value. */
type Ended = { readonly result: unknown } | Outcome | { readonly threw: string };

async function endOf(work: Promise<unknown>): Promise<Ended> {
  try {
    const value = await work;
    return readVerdict(value) ?? { result: value };
  } catch (thrown) {
    return readVerdict(thrown) ?? { threw: String(thrown) };
  }
}

/** Starts a program for a task. `logged` waits for a log line with the text. */
function begin(argv: readonly string[], payload: unknown = null, options: CommandOptions = {}) {
  const seen: Seen = { log: [], progress: [] };
  const abort = new AbortController();
  const work = command(argv, options)(
    { ...TASK, payload },
    {
      signal: abort.signal,
      log: (message, level = "info") => void seen.log.push({ message, level }),
      progress: (percent, message = "") => void seen.progress.push({ percent, message }),
    },
  );
  const logged = (text: string): Promise<unknown> =>
    eventually(
      () => seen.log.some(({ message }) => message.includes(text)),
      (isThere) => isThere,
    );
  return { ...seen, abort, logged, ended: endOf(work) };
}

/** Runs a program to its end. */
async function run(argv: readonly string[], payload: unknown = null, options: CommandOptions = {}) {
  const { log, progress, ended } = begin(argv, payload, options);
  return { log, progress, ended: await ended };
}
/** An argument without placeholders. */
const literal = (text: string): string => text.replace(/[{}]/g, "$&$&");
const sh = (script: string, ...args: readonly string[]): string[] => [
  "sh",
  "-c",
  literal(script),
  "sh",
  ...args,
];

const failed = (code: string, message: string, retryable = true): Outcome => ({
  ...{ kind: "failed", retryable, retryAfterMs: null },
  error: { code, message },
});
const info = (...lines: readonly string[]) =>
  lines.map((message) => ({ message, level: "info" as LogLevel }));

describe("a program is called", () => {
  test("with the task's values as parts of its arguments, whatever they contain", async () => {
    const payload = { file: "a b; $(touch x) 'q' \"r\" *", n: 3, list: [1, { a: null }] };
    const argv = ["printf", "%s\\n", "{payload.file}", "n={payload.n}", "{payload.list}", "{id}/{attempt}"];
    const { log, ended } = await run(argv, payload);
    expect(log).toEqual(info(payload.file, "n=3", '[1,{"a":null}]', "7/2"));
    expect(ended).toEqual({ result: null });
  });

  test("never if the payload lacks a value", async () => {
    const { log, ended } = await run(sh("echo ran", "{payload.input}"), { output: "x" });
    expect(ended).toEqual(failed("bad_payload", "{payload.input} is missing", false));
    expect(log).toEqual([]);
  });

  test("without options from the payload, unless they are allowed", async () => {
    const argv = ["printf", "%s\\n", "{payload}"];
    expect((await run(argv, "-v")).ended).toMatchObject({ kind: "failed", error: { code: "bad_payload" } });
    expect((await run(argv, "-v", { allowDashes: true })).log).toEqual(info("-v"));
  });

  test("with the payload on stdin as the text that was sent, and its result keeps its text", async () => {
    const payloadText = '{"id":3889108265204450030,"x":1e999, "2":1,"1":-0.0,"1":[ ]}';
    const context = { signal: new AbortController().signal, log: () => undefined, progress: () => undefined };
    const sent = { ...TASK, payload: JSON.parse(payloadText), payloadText };
    expect(await attempt(command(["cat"]), sent, context)).toEqual({ kind: "done", result: payloadText });
  });

  test("with a result that a handler may read, extend or change", async () => {
    const context = { signal: new AbortController().signal, log: () => undefined, progress: () => undefined };
    const text = '{"n":1.0}';
    const echo = command(["echo", literal(text)]);
    const wrapped = (change: (result: { n: number }) => unknown): Promise<Outcome> =>
      attempt(async (task, context) => change((await echo(task, context)) as { n: number }), TASK, context);
    expect(await wrapped((result) => result)).toEqual({ kind: "done", result: text });
    expect(await wrapped((result) => ({ ...result, more: 2 }))).toEqual({
      ...{ kind: "done", result: '{"n":1,"more":2}' },
    });
    expect(await wrapped((result) => Object.assign(result, { n: result.n + 1 }))).toEqual({
      ...{ kind: "done", result: '{"n":2}' },
    });
  });

  test("with the payload as JSON on stdin, to its end", async () => {
    const payload = { text: "ü\n", n: 1 };
    expect((await run(["cat"], payload)).ended).toEqual({ result: payload });
    expect((await run(["cat"])).log).toEqual(info("null"));
  });

  test.each([
    ["does not read it", "true"],
    ["closes it", "exec 0<&-; sleep 0.05; echo done"],
    ["reads a part of it", "head -c 10"],
  ])("with a mebibyte on stdin, and runs to its end if the program %s", async (_, script) => {
    expect((await run(sh(script), "x".repeat(1_048_576))).ended).toEqual({ result: null });
  });

  test("with its task in the environment, in addition to the worker's environment and the option", async () => {
    process.env.COMMAND_TEST = "inherited";
    const script = 'echo "$TASKTRACK_TASK_ID $TASKTRACK_ATTEMPT $TASKTRACK_TYPE $COMMAND_TEST $GIVEN"';
    const { log } = await run(sh(script), null, { env: { GIVEN: "given", TASKTRACK_TYPE: "not this" } });
    expect(log).toEqual(info("7 2 work.it inherited given"));
  });

  test("in the folder of the option cwd", async () => {
    expect((await run(["pwd"], null, { cwd: folder })).log).toEqual(info(folder));
  });

  test("as the leader of a session of its own", async () => {
    const { log } = await run(sh("echo $$; ps -o pgid= -o sid= -p $$"));
    const [pid = "", ids = ""] = log.map(({ message }) => message);
    expect(ids.trim().split(/\s+/)).toEqual([pid, pid]);
  });
});

describe("a command is refused when it is made", () => {
  test.each([
    ["without a program", [], {}],
    ["with an empty one", [""], {}],
    ["with a program that the task would choose", ["{payload.program}"], {}],
    ["with a placeholder that no task can fill", ["echo", "{payloads.x}"], {}],
    ["with a single brace", ["echo", '{"a":1}'], {}],
    ["with an invalid killAfter", ["true"], { killAfter: "soon" }],
    ["with a negative killAfter", ["true"], { killAfter: "-1s" }],
    ["with an exit code that means success", ["true"], { permanentExitCodes: [0] }],
    ["with an exit code that no program has", ["true"], { permanentExitCodes: [256] }],
  ])("%s", (_, argv, options) => {
    expect(() => command(argv, options)).toThrow(TypeError);
  });
});

describe("the output of a program", () => {
  test("goes to the log: stdout as it is, stderr as warnings", async () => {
    const { log } = await run(sh("echo one; echo two >&2; sleep 0.05; printf three"));
    expect(log.toSorted((a, b) => a.message.localeCompare(b.message))).toEqual([
      { message: "one", level: "info" },
      { message: "three", level: "info" },
      { message: "two", level: "warn" },
    ]);
  });

  test("arrives while the program runs", async () => {
    const { logged, ended, abort, progress } = begin(sh("echo progress 10 begun; echo begun; sleep 60"));
    await logged("begun");
    await eventually(
      () => progress,
      (shown) => shown.length === 1,
    );
    abort.abort("cancelled");
    await ended;
  });

  test.each([
    ["progress 40", { percent: 40, message: "" }],
    ["progress 99.5 nearly there", { percent: 99.5, message: "nearly there" }],
    ["progress 0   x", { percent: 0, message: "x" }],
    ["progress 100", { percent: 100, message: "" }],
  ])("is progress when it is %j", async (line, shown) => {
    expect(await run(["echo", line])).toMatchObject({ progress: [shown], log: [] });
  });

  test.each(["progress", "progress 101", "progress -1", "progress 4x", "Progress 4", "a progress 4"])(
    "is a log line when it is %j",
    async (line) => {
      expect(await run(["echo", line])).toMatchObject({ progress: [], log: info(line) });
    },
  );

  test("has a new line after each carriage return", async () => {
    const { log } = await run(["printf", "10%%\\r20%%\\r\\n30%%"]);
    expect(log).toEqual(info("10%", "20%", "30%"));
  });

  test("need not be text", async () => {
    const { log, ended } = await run(sh("head -c 300000 /dev/urandom; printf '\\n\\0\\377end\\n'"));
    expect(ended).toEqual({ result: null });
    expect(log.at(-1)).toEqual({ message: "\uFFFD\uFFFDend", level: "info" });
    expect(log.filter(({ message }) => message.includes("\0"))).toEqual([]);
  });

  test("is cut if a line is longer than a log line may be", async () => {
    const { log } = await run(sh("head -c 100000 /dev/zero | tr '\\0' x; echo; echo next"));
    expect(log).toEqual(info("x".repeat(LIMITS.messageLength), "next"));
  });
});

describe("the result", () => {
  test.each([
    ["an object", '{"a":[1,2]}', { a: [1, 2] }],
    ["a list", "[1,2]", [1, 2]],
  ])("is the last line when that is %s", async (_, line, result) => {
    const { log, ended } = await run(sh('echo first; printf "%s" "$1"', literal(line)));
    expect(ended).toEqual({ result });
    expect(log).toEqual(info("first"));
    expect((await run(sh('echo "$1"; echo', literal(line)))).ended).toEqual({ result }); // a blank line at the end is ignored
  });

  test.each(["42", "true", "null", '"text"', "{not JSON}", "[info] begun]", "{"])(
    "is not %j, which is a log line",
    async (line) => {
      expect(await run(["echo", literal(line)])).toEqual({
        log: info(line),
        progress: [],
        ended: { result: null },
      });
    },
  );

  test("is not JSON before another line", async () => {
    const { log, ended } = await run(sh("echo '{\"a\":1}'; echo last"));
    expect(ended).toEqual({ result: null });
    expect(log).toEqual(info('{"a":1}', "last"));
  });

  test("is not the output of a program that failed", async () => {
    const { log, ended } = await run(sh("echo '{\"a\":1}'; exit 1"));
    expect(ended).toEqual(failed("exit_1", "sh exited with code 1"));
    expect(log).toEqual(info('{"a":1}'));
  });

  const ofBytes = (bytes: number): string[] =>
    sh(`printf '["'; head -c ${bytes - 4} /dev/zero | tr '\\0' x; printf '"]'`);

  test("may have the greatest allowed size", async () => {
    const { ended } = await run(ofBytes(LIMITS.resultBytes));
    expect(ended).toEqual({ result: ["x".repeat(LIMITS.resultBytes - 4)] });
  });

  test("is a permanent failure with one byte more", async () => {
    const { ended } = await run(ofBytes(LIMITS.resultBytes + 1));
    expect(ended).toMatchObject({
      ...{ kind: "failed", retryable: false },
      error: { code: "result_too_large" },
    });
  });
});

describe("a program fails", () => {
  test("by its exit code, with the last line of stderr", async () => {
    const { ended } = await run(sh("echo first >&2; echo 'no such codec' >&2; echo out; exit 3"));
    expect(ended).toEqual(failed("exit_3", "sh exited with code 3: no such codec"));
  });

  test("permanently by the exit codes of the option", async () => {
    const permanentExitCodes = [2, 65];
    const { ended } = await run(sh("exit 65"), null, { permanentExitCodes });
    expect(ended).toEqual(failed("exit_65", "sh exited with code 65", false));
    expect((await run(sh("exit 1"), null, { permanentExitCodes })).ended).toMatchObject({ retryable: true });
  });

  test("by a signal", async () => {
    expect((await run(sh("kill -SEGV $$"))).ended).toEqual(
      failed("signal_SIGSEGV", "sh was ended by SIGSEGV"),
    );
  });

  test("permanently if it does not exist, or is not a program", async () => {
    writeFileSync(join(folder, "text"), "no program", { mode: 0o644 });
    writeFileSync(join(folder, "script"), "#!/nowhere/interpreter\n", { mode: 0o755 });
    const code = async (argv: readonly string[], options: CommandOptions = {}) => {
      const { ended } = await run(argv, null, options);
      return ended;
    };
    expect(await code(["no-such-program"])).toMatchObject({
      retryable: false,
      error: {
        code: "command_not_found",
        message: expect.stringContaining("no-such-program was not found") as string,
      },
    });
    expect(await code([join(folder, "script")])).toMatchObject({
      retryable: false,
      error: { code: "command_not_found" },
    });
    expect(await code(["true"], { cwd: join(folder, "nowhere") })).toMatchObject({
      retryable: false,
      error: {
        code: "command_not_found",
        message: expect.stringContaining(`${folder}/nowhere does not exist`) as string,
      },
    });
    expect(await code([join(folder, "text")])).toMatchObject({
      retryable: false,
      error: { code: "command_not_executable" },
    });
    expect((await run(["true", "{payload}"], "x".repeat(300_000))).ended).toMatchObject({
      retryable: false,
      error: { code: "command_too_long" },
    });
  });
});

/** Whether the process still runs. A process that has ended may stay in the process table. */
const runs = (pid: number): boolean =>
  !["", "Z"].includes(
    spawnSync("ps", ["-o", "state=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim(),
  );

/** The pids in the output of a program, from lines such as "child 123". */
const pidsIn = ({ log }: Pick<Seen, "log">): number[] =>
  log.flatMap(({ message }) => (/^\w+ \d+$/.test(message) ? [Number(message.split(" ")[1])] : []));

const IGNORES_SIGTERM = "trap '' TERM; while :; do sleep 1; done";

describe("a program that is told to stop", () => {
  test("gets SIGTERM and may end by itself", async () => {
    const begun = begin(sh("trap 'echo tidied; exit 0' TERM; echo begun; while :; do sleep 0.02; done"));
    await begun.logged("begun");
    begun.abort.abort("cancelled");
    expect(await begun.ended).toEqual({ threw: "Error: Stopped: cancelled" }); // its exit code 0 is not a success
    expect(begun.log.at(-1)?.message).toBe("tidied");
  });

  test("and does not end is killed after a time, with all processes that it has started", async () => {
    const script = `sh -c "${IGNORES_SIGTERM}" & echo child $!; echo leader $$; ${IGNORES_SIGTERM}`;
    const begun = begin(sh(script), null, { killAfter: "100ms" });
    await begun.logged("leader");
    const pids = pidsIn(begun);
    expect(pids.map(runs)).toEqual([true, true]);
    begun.abort.abort("timeout");
    expect(await begun.ended).toEqual({ threw: "Error: Stopped: timeout" });
    expect(pids.map(runs)).toEqual([false, false]);
  });

  test("leaves no child behind that ignores the signal", async () => {
    const begun = begin(sh(`sh -c "${IGNORES_SIGTERM}" & echo child $!; echo leader $$; wait`), null, {
      killAfter: "1h",
    });
    await begun.logged("leader");
    begun.abort.abort("shutdown");
    await begun.ended;
    expect(pidsIn(begun).map(runs)).toEqual([false, false]);
  });

  test("is not started if the signal came before the start", async () => {
    const abort = AbortSignal.abort("cancelled");
    const ran = join(folder, "ran");
    const work = command(["touch", ran])(TASK, {
      signal: abort,
      log: () => undefined,
      progress: () => undefined,
    });
    expect(await endOf(work)).toEqual({ threw: "Error: Stopped: cancelled" });
    expect(spawnSync("ls", [ran]).status).not.toBe(0);
  });
});

describe("a program that ends", () => {
  test("leaves no child behind", async () => {
    const { log, ended } = await run(sh("sleep 60 & echo child $!; echo '{\"ok\":true}'"));
    expect(ended).toEqual({ result: { ok: true } });
    expect(pidsIn({ log }).map(runs)).toEqual([false]);
  });

  test("is not kept open by another process that holds its output", async () => {
    const { log, ended } = await run(sh("setsid sleep 60 & echo stray $!; sleep 0.05; echo '[1]'"));
    expect(ended).toEqual({ result: [1] });
    const [stray = Number.NaN] = pidsIn({ log });
    expect(runs(stray)).toBe(true); // it has left the group
    process.kill(stray, "SIGKILL");
  });

  test("is not kept open by a zombie without a parent that waits for it", async () => {
    const script = `
import os, sys, time
if os.fork() == 0:
    if os.fork() == 0:
        os._exit(0)                      # a zombie in the leader's group
    os.setsid()                          # its parent leaves the group and never waits for it
    print("parent", os.getpid(), flush=True)
    os.close(1); os.close(2)
    time.sleep(60)
while not os.read(0, 1): pass
time.sleep(0.3)
`;
    const { log, ended } = await run(["python3", "-c", script], "go");
    const [parent = Number.NaN] = pidsIn({ log });
    process.kill(parent, "SIGKILL");
    expect(ended).toEqual({ result: null });
  });
});

describe("the open groups", () => {
  test("are reported as they open and close", async () => {
    const events: string[] = [];
    const unlisten = listenToGroups({
      opened: (pid) => events.push(`opened ${pid}`),
      closed: (pid) => events.push(`closed ${pid}`),
    });
    const { log } = await run(sh("echo leader $$"));
    unlisten();
    await run(sh("true"));
    const [pid] = pidsIn({ log });
    expect(events).toEqual([`opened ${pid}`, `closed ${pid}`]);
  });

  test("are reported to a later listener", async () => {
    const begun = begin(sh("echo leader $$; sleep 60"));
    await begun.logged("leader");
    const opened: number[] = [];
    listenToGroups({ opened: (pid) => opened.push(pid), closed: () => undefined })();
    expect(opened).toEqual(pidsIn(begun));
    begun.abort.abort();
    await begun.ended;
  });

  test("are all killed together", async () => {
    const begun = [begin(sh("echo leader $$; sleep 60")), begin(sh(`echo leader $$; ${IGNORES_SIGTERM}`))];
    for (const { logged } of begun) await logged("leader");
    killAllGroups();
    for (const { ended } of begun)
      expect(await ended).toEqual(failed("signal_SIGKILL", "sh was ended by SIGKILL"));
  });

  test("end with the process that opened them", async () => {
    const program = `
      import { command } from ${JSON.stringify(join(import.meta.dir, "command.ts"))};
      const log = (line) => { console.log(line); process.exit(3); };
      command(["sh", "-c", "echo leader $$; exec sleep 60"])({}, { signal: new AbortController().signal, log });
    `;
    const { stdout, status } = spawnSync(process.execPath, ["--no-env-file", "-e", program], {
      encoding: "utf8",
    });
    expect({ stdout, status }).toEqual({
      stdout: expect.stringMatching(/^leader \d+\n$/) as string,
      status: 3,
    });
    const pid = Number(stdout.split(" ")[1]);
    await eventually(
      () => runs(pid),
      (isRunning) => !isRunning,
    );
  });
});

const MIB = 1_048_576;
const STRAIN = join(import.meta.dir, "../../test/support/strain.ts");

type Strain = {
  readonly grown: number;
  readonly turns: number;
  readonly lines: number;
  readonly shown: number;
  /** How long the run took. */
  readonly ms: number;
};

async function strain(script: string): Promise<Strain> {
  const child = Bun.spawn([process.execPath, "--no-env-file", STRAIN, script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(await new Response(child.stdout).text()) as Strain; // in the form that strain.ts writes
}

/** Lines and progress are sent four times a second, each time up to a thousand lines and one progress. */
const REPORT_EVERY_MS = 250;

describe("100 MB of output need little memory and do not block the worker", () => {
  test.each([
    ["without an end of line", "head -c 100000000 /dev/zero | tr '\\0' x"],
    ["that could be a result", "printf '{'; head -c 100000000 /dev/zero | tr '\\0' x; echo"],
    ["in short lines", "yes 'frame 1 of many, and more words to fill the line' | head -c 100000000"],
    ["in lines as long as are kept", `yes ${"x".repeat(10_000)} | head -c 100000000`],
    ["in lines of progress", "yes progress 40 of it, and more words to fill the line | head -c 100000000"],
    ["to stderr", "yes 'warning: the same as before, as it was' | head -c 100000000 >&2"],
  ])("%s", async (_, script) => {
    const { grown, turns, lines, shown, ms } = await strain(script);
    const times = 2 + ms / REPORT_EVERY_MS;
    expect(grown).toBeLessThan(80 * MIB);
    expect(turns).toBeGreaterThan(10);
    expect(lines).toBeLessThanOrEqual(1_001 * times);
    expect(shown).toBeLessThanOrEqual(times);
  });

  test("and a log line has the number of omitted lines", async () => {
    const { log } = await run(sh("seq 1 500000"));
    const left = log.flatMap(({ message }) => /^… (\d+) lines left out$/.exec(message)?.[1] ?? []);
    const lines = log.filter(({ message }) => !message.startsWith("…"));
    expect(left.reduce((sum, count) => sum + Number(count), 0) + lines.length).toBe(500_000);
    expect(lines.slice(-999).map(({ message }) => message)).toEqual(
      Array.from({ length: 999 }, (_, at) => String(499_002 + at)),
    );
  });
});
