import { HELP } from "./arguments.ts";
import type { Command, Example, Flag, Positional } from "./command.ts";

/** The help page of one command. */
export function commandHelp(command: Command): string {
  const { name, about, details, positionals, flags, examples } = command;
  const usage = ["tasktrack", name, ...positionals.map(placeOf), "[flags]"].join(" ");
  const parts = [
    `Usage: ${usage}`,
    `${about[0]?.toUpperCase()}${about.slice(1)}.`,
    ...(details === undefined ? [] : [wrapped(details, WIDTH)]),
    flagLines([...flags.filter(({ isHidden }) => isHidden !== true), HELP]),
    ...(examples.length === 0 ? [] : [`Examples:\n${exampleLines(examples)}`]),
  ];
  return parts.join("\n\n");
}

/** The help page of all commands. */
export const overview = (version: string, commands: readonly Command[]): string =>
  `TaskTrack ${version}: the server for work that takes minutes.

Usage: tasktrack <command>

${commands.map(({ name, about }) => `  ${name.padEnd(12)} ${about}`).join("\n")}

  --help       this page; tasktrack <command> --help describes one command
  --version    the version

The address of the server is --url, or TASKTRACK_URL, or http://localhost:8080.

Exit codes (for several tasks the highest):
  0    success
  1    the server refused the request, or did not answer
  2    the command line is invalid
  3    the task failed
  4    the task was cancelled or deleted during the wait
  130  interrupted by Ctrl-C`;

function placeOf({ name, isMany, isOptional }: Positional): string {
  const many = isMany === true ? `${name}…` : name;
  return isOptional === true ? `[${many}]` : many;
}

/** Lines are broken at this width. */
const WIDTH = 80;
const ABOUT_AT = 28;

/** The text with its lines broken between words. */
const wrapped = (text: string, width: number): string => Bun.wrapAnsi(text, width, { wordWrap: true });

function flagLines(flags: readonly Flag[]): string {
  return flags
    .map(({ name, value, about, isMany, choices }) => {
      const head = `  --${name}${value === undefined ? "" : ` ${value}`}`;
      const words = [
        about,
        ...(choices === undefined ? [] : [choices.join(", ")]),
        ...(isMany === true ? ["may be repeated"] : []),
      ];
      const tail = wrapped(words.join("; "), WIDTH - ABOUT_AT).replaceAll("\n", `\n${" ".repeat(ABOUT_AT)}`);
      return head.length < ABOUT_AT - 1
        ? head.padEnd(ABOUT_AT) + tail
        : `${head}\n${" ".repeat(ABOUT_AT)}${tail}`;
    })
    .join("\n");
}

const exampleLines = (examples: readonly Example[]): string =>
  examples.map(({ line, about }) => `  ${line}\n        ${about}`).join("\n");
