import { VERSION } from "../app.ts";
import { parseArguments } from "./arguments.ts";
import { benchCommand } from "./bench.ts";
import { type Call, type Command, OK, USAGE, UsageError } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { copyCommand } from "./copy.ts";
import { commandHelp, overview } from "./help.ts";
import { migrateCommand } from "./migrate.ts";
import { nearest } from "./nearest.ts";
import { ONE_OF_SEVERAL } from "./processes.ts";
import { RUN_HANDLERS, runHandlers } from "./run-handlers.ts";
import { serveAsOneOfSeveral, serveCommand } from "./serve.ts";
import { complain } from "./settings.ts";
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
import { createTerminal, endWithOutput, outliveOutput, type Terminal } from "./terminal.ts";
import { workerCommand } from "./worker.ts";

/** All that there is, in the order of the help page. */
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

/** The command line; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const [word, ...rest] = argv;
  const command = COMMANDS.find(({ name }) => name === word);
  if (command?.outlivesOutput || word === ONE_OF_SEVERAL || word === RUN_HANDLERS) outliveOutput();
  else endWithOutput();
  if (word === "--version" || word === "-v") return say(VERSION);
  if (word === undefined || word === "--help" || word === "-h") return say(overview(VERSION, COMMANDS));
  if (word === "help") return rest.length === 0 ? run([]) : run([...rest, "--help"]);
  if (word === ONE_OF_SEVERAL) return serveAsOneOfSeveral(parseArguments(serveCommand, rest).given);
  if (word === RUN_HANDLERS) return runHandlers(rest);
  if (command !== undefined) return attempt(command, rest);
  const meant = nearest(
    word,
    COMMANDS.map(({ name }) => name),
  );
  const question = meant === null ? "" : `; did you mean ${meant}?`;
  complain(`there is no command ${JSON.stringify(word)}${question} (see tasktrack --help)`);
  return USAGE;
}

async function attempt(command: Command, argv: readonly string[]): Promise<number> {
  try {
    const { given, positionals, isHelp } = parseArguments(command, argv);
    if (isHelp) return say(commandHelp(command));
    const terminal = createTerminal();
    return await command.run({
      ...{ given, positionals, terminal, commands: COMMANDS },
      paint: paintFor(terminal, given.isOn(NO_COLOR.name)),
    });
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    complain(`${error.message} (see tasktrack ${command.name} --help)`);
    return USAGE;
  }
}

const paintFor = ({ out, env }: Terminal, isRefused: boolean): Call["paint"] =>
  createPaint(wantsColour({ isRefused, isTerminal: out.isTerminal, env }));

function say(text: string): number {
  process.stdout.write(`${text.trimEnd()}\n`);
  return OK;
}
