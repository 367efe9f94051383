import { VERSION } from "../app.ts";
import { settings } from "../config.ts";
import { bench, benchHelp } from "./bench.ts";
import { copy, copyHelp } from "./copy.ts";
import { migrate, migrateHelp } from "./migrate.ts";
import { ONE_OF_SEVERAL } from "./processes.ts";
import { RUN_HANDLERS, runHandlers } from "./run-handlers.ts";
import { serve, serveAsOneOfSeveral } from "./serve.ts";
import { OK, USAGE } from "./settings.ts";
import { worker, workerHelp } from "./worker.ts";

type Command = {
  readonly about: string;
  readonly help: () => string;
  readonly run: (argv: readonly string[]) => Promise<number>;
};

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: { about: "run the server in the foreground", help: serveHelp, run: serve },
  worker: { about: "work on a module's types for a server anywhere", help: () => workerHelp, run: worker },
  migrate: { about: "bring the store's schema up to date", help: () => migrateHelp, run: migrate },
  copy: { about: "copy all tasks from one store to another", help: () => copyHelp, run: copy },
  bench: { about: "measure a running server", help: () => benchHelp, run: bench },
};

/** The command line; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  if (command === "--version" || command === "-v") return say(VERSION);
  if (command === undefined || isHelp(command) || command === "help") return say(help());
  if (command === ONE_OF_SEVERAL) return serveAsOneOfSeveral(rest);
  if (command === RUN_HANDLERS) return runHandlers(rest);
  const known = Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (known !== undefined) return rest.some(isHelp) ? say(known.help()) : known.run(rest);
  process.stderr.write(`tasktrack: there is no command "${command}"; see tasktrack --help\n`);
  return USAGE;
}

const isHelp = (argument: string): boolean => argument === "--help" || argument === "-h";

function say(text: string): number {
  process.stdout.write(`${text.trimEnd()}\n`);
  return OK;
}

const help = (): string => `TaskTrack ${VERSION}: the server for work that takes minutes.

Usage: tasktrack <command>

${Object.entries(COMMANDS)
  .map(([name, { about }]) => `  ${name.padEnd(12)} ${about} (tasktrack ${name} --help)`)
  .join("\n")}
  --help       this page
  --version    the version
`;

function serveHelp(): string {
  return `Usage: tasktrack serve [flags]

Runs the server in the foreground until SIGTERM or SIGINT. A flag wins over the environment, the environment over the
file .env in the working directory.

${settings
  .map(
    ({ flag, name, fallback, about }) =>
      `  --${flag} VALUE\n        ${about}\n        ${name}, default ${fallback || "(none)"}`,
  )
  .join("\n")}
`;
}
