import { TaskTrackError } from "../../client/client.ts";
import type { LogLevel, LogLine } from "../../client/types.ts";
import { LOG_LEVELS } from "../../lib/log.ts";
import type { Call, Command } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { interruptible } from "../interrupt.ts";
import { logLine } from "../show/task-facts.ts";
import { firstId, JSON_FLAG, SERVER_FLAGS, type Server, withServer } from "./server.ts";
import { awayNotice } from "./wait.ts";
import { jsonLine, jsonText, linesText } from "./write.ts";

export const logCommand: Command = {
  name: "log",
  about: "show the log lines of a task",
  positionals: [{ name: "ID" }],
  flags: [
    { name: "follow", about: "print new lines until the task has ended" },
    { name: "level", value: "LEVEL", about: "only lines of this level and above", choices: LOG_LEVELS },
    { ...JSON_FLAG, about: "print one JSON array; with --follow one line of JSON for each log line" },
    ...SERVER_FLAGS,
  ],
  examples: [
    { line: "tasktrack log 7 --follow --level warn", about: "warnings and errors while the task runs" },
  ],
  run: (call) =>
    withServer(call, (server) => (call.given.isOn("follow") ? follow(call, server) : show(call, server))),
};

async function show(call: Call, { client }: Server): Promise<number> {
  const { given, terminal, paint } = call;
  const lines = wanted(await client.log(firstId(call)), given.text("level"));
  const text = given.isOn("json") ? jsonText(lines) : linesText(lines.map((line) => logLine(line, paint)));
  terminal.out.write(text);
  return OK;
}

const LOOK_EVERY_MS = 1_000;

/** Log lines arrive with heartbeats and cause no event. So they are read every second, and at the end of the task. */
async function follow(call: Call, { client, url }: Server): Promise<number> {
  const { given, terminal, paint } = call;
  const id = firstId(call);
  const onConnection = awayNotice((text) => terminal.err.write(`tasktrack: ${text}\n`), url);
  const { exitCode } = await interruptible(terminal, async (signal) => {
    let [after, withinMs, isOver] = [0, 0, false];
    while (!isOver) {
      try {
        // The status is read before the lines, so that the lines before the end are among them.
        const hasEnded = (await client.wait(id, { withinMs, signal })).finished_at !== null;
        const lines = await client.log(id, { after, signal });
        onConnection(true);
        for (const line of wanted(lines, given.text("level"))) {
          terminal.out.write(given.isOn("json") ? jsonLine(line) : `${logLine(line, paint)}\n`);
        }
        after = lines.at(-1)?.n ?? after;
        withinMs = LOOK_EVERY_MS;
        isOver = hasEnded;
      } catch (error) {
        const wasThere = withinMs > 0;
        if (!wasThere || !isAway(error)) throw error;
        onConnection(false); // the client has made its retries
      }
    }
    return OK;
  });
  return exitCode;
}

const isAway = (error: unknown): boolean => error instanceof TaskTrackError && error.status === 0;

const wanted = (lines: readonly LogLine[], least: string | undefined): readonly LogLine[] =>
  least === undefined
    ? lines
    : lines.filter(({ level }) => LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least as LogLevel)); // the parser has checked it
