import { VERSION } from "../version.ts";
import { parseArguments } from "./arguments.ts";
import { benchCommand } from "./bench.ts";
import { type Call, type Command, UsageError } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { copyCommand } from "./copy.ts";
import { OK, USAGE } from "./exit-codes.ts";
import { commandHelp, overview } from "./help.ts";
import { migrateCommand } from "./migrate.ts";
import { nearest } from "./nearest.ts";
import { serveAsOneOfSeveral, serveCommand } from "./serve.ts";
import { createPaint, wantsColour } from "./show/paint.ts";
import { addCommand } from "./tasks/add.ts";
import { cancelCommand, removeCommand, retryCommand } from "./tasks/change.ts";
import { editCommand } from "./tasks/edit.ts";
import { explainCommand } from "./tasks/explain.ts";
import { getCommand } from "./tasks/get.ts";
import { listCommand } from "./tasks/list.ts";
import { logCommand } from "./tasks/log.ts";
import { NO_COLOR } from "./tasks/server.ts";
import { statsCommand } from "./tasks/stats.ts";
import { watchCommand } from "./tasks/watch.ts";
import type { Terminal } from "./terminal.ts";
import { workerCommand } from "./worker.ts";

/** All commands, in the order of the help page. */
const COMMANDS: readonly Command[] = [
  serveCommand,
  workerCommand,
  addCommand,
  listCommand,
  getCommand,
  watchCommand,
  cancelCommand,
  retryCommand,
  editCommand,
  removeCommand,
  logCommand,
  explainCommand,
  statsCommand,
  benchCommand,
  migrateCommand,
  copyCommand,
  completionCommand,
];

export const commandNamed = (word: string | undefined): Command | undefined =>
  COMMANDS.find(({ name }) => name === word);

/** @param argv the arguments that a server with several processes gives to each process */
export const runOneOfSeveral = (argv: readonly string[]): Promise<number> =>
  serveAsOneOfSeveral(parseArguments(serveCommand, argv).given);

/** Runs the command that the first word names; resolves with the exit code. */
export async function runCommand(argv: readonly string[], terminal: Terminal): Promise<number> {
  const [word, ...rest] = argv;
  if (word === "--version" || word === "-v") return print(terminal, VERSION);
  if (word === undefined || word === "--help" || word === "-h")
    return print(terminal, overview(VERSION, COMMANDS));
  if (word === "help") return runCommand(rest.length === 0 ? [] : [...rest, "--help"], terminal);
  const command = commandNamed(word);
  if (command !== undefined) return attempt(command, rest, terminal);
  const meant = nearest(
    word,
    COMMANDS.map(({ name }) => name),
  );
  const question = meant === null ? "" : `; did you mean ${meant}?`;
  return misused(terminal, `there is no command ${JSON.stringify(word)}${question} (see tasktrack --help)`);
}

async function attempt(command: Command, argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const { given, positionals, isHelp } = parseArguments(command, argv);
    if (isHelp) return print(terminal, commandHelp(command));
    return await command.run({
      ...{ given, positionals, terminal, commands: COMMANDS },
      paint: paintFor(terminal, given.isOn(NO_COLOR.name)),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return misused(terminal, `${error.message} (see tasktrack ${command.name} --help)`);
  }
}

const paintFor = ({ out, env }: Terminal, isRefused: boolean): Call["paint"] =>
  createPaint(wantsColour({ isRefused, isTerminal: out.isTerminal, env }));

function print({ out }: Terminal, text: string): number {
  out.write(`${text.trimEnd()}\n`);
  return OK;
}

function misused({ err }: Terminal, message: string): number {
  err.write(`tasktrack: ${message}\n`);
  return USAGE;
}
