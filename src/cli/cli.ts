import { VERSION } from "../app.ts";
import { settings } from "../config.ts";
import { ONE_OF_SEVERAL } from "./processes.ts";
import { serve, serveAsOneOfSeveral } from "./serve.ts";

const OK = 0;
const USAGE = 2;

/** The command line; resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  if (command === "--version" || command === "-v") return say(VERSION);
  if (command === undefined || command === "--help" || command === "-h" || command === "help")
    return say(help());
  if (command === "serve")
    return rest.includes("--help") || rest.includes("-h") ? say(serveHelp()) : serve(rest);
  if (command === ONE_OF_SEVERAL) return serveAsOneOfSeveral(rest);
  process.stderr.write(`tasktrack: there is no command "${command}"; see tasktrack --help\n`);
  return USAGE;
}

function say(text: string): number {
  process.stdout.write(`${text.trimEnd()}\n`);
  return OK;
}

const help = (): string => `TaskTrack ${VERSION}: the server for work that takes minutes.

Usage: tasktrack <command>

  serve        run the server in the foreground (tasktrack serve --help)
  --help       this page
  --version    the version
`;

const serveHelp = (): string => `Usage: tasktrack serve [flags]

Runs the server in the foreground until SIGTERM or SIGINT. A flag wins over the environment, the environment over the
file .env in the working directory.

${settings
  .map(
    ({ flag, name, fallback, about }) =>
      `  --${flag} VALUE\n        ${about}\n        ${name}, default ${fallback || "(none)"}`,
  )
  .join("\n")}
`;
