import { parseArgs } from "node:util";
import { type Command, type Flag, type Given, type Positional, UsageError } from "./command.ts";
import { nearest } from "./nearest.ts";

/** Every command has this flag. */
export const HELP: Flag = { name: "help", about: "this page" };

export type Parsed = {
  readonly given: Given;
  readonly positionals: readonly string[];
  readonly isHelp: boolean;
};

/** Parses the arguments of a command by its table. Throws a UsageError with the fault and, if there is one, a similar word. */
export function parseArguments(command: Command, argv: readonly string[]): Parsed {
  const flags = [...command.flags, HELP];
  const { tokens } = parseArgs({
    args: joinValues(argv, flags),
    options: Object.fromEntries(flags.map(optionOf)),
    strict: false, // the checks are below, because the parser's messages suggest no similar word
    allowPositionals: true,
    tokens: true,
  });
  const values = new Map<string, (string | true)[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option") continue;
    const flag = flags.find(({ name }) => name === token.name && token.rawName !== `-${name}`);
    if (flag === undefined) throw new UsageError(unknown(token.rawName, flags));
    const value = flagValue(flag, token.inlineValue === true ? token.value : undefined);
    const before = flag.isMany === true ? (values.get(flag.name) ?? []) : [];
    values.set(flag.name, [...before, value]);
  }
  const isHelp = values.has(HELP.name);
  if (!isHelp) checkCount(command, positionals);
  return { given: givenOf(values), positionals, isHelp };
}

const optionOf = ({ name, value }: Flag) => {
  const short = name === HELP.name ? { short: "h" } : {};
  return [name, { type: value === undefined ? "boolean" : "string", ...short } as const] as const;
};

/** A word with one hyphen may be a value (`--priority -5`, `--sort -id`, `--payload -`). */
const isFlag = (word: string): boolean => word.startsWith("--") || word === "-h";

/** `--priority -5` becomes `--priority=-5`, because the parser would take it for two flags. In `--name --json`, `--name` has no value. */
function joinValues(argv: readonly string[], flags: readonly Flag[]): string[] {
  const takesValue = new Set(flags.filter(({ value }) => value !== undefined).map(({ name }) => `--${name}`));
  const joined: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const [word = "", next] = [argv[at], argv[at + 1]];
    if (word === "--") return [...joined, ...argv.slice(at)];
    if (takesValue.has(word) && next !== undefined && !isFlag(next)) {
      joined.push(`${word}=${next}`);
      at++;
    } else joined.push(word);
  }
  return joined;
}

function flagValue({ name, value, choices }: Flag, given: string | undefined): string | true {
  if (value === undefined) {
    if (given !== undefined) throw new UsageError(`--${name} takes no value`);
    return true;
  }
  if (given === undefined) throw new UsageError(`--${name} needs a value: --${name} ${value}`);
  if (choices?.includes(given) === false) throw new UsageError(noChoice(`--${name}`, given, choices));
  return given;
}

function noChoice(what: string, given: string, choices: readonly string[]): string {
  const meant = nearest(given, choices);
  const question = meant === null ? "" : `; did you mean ${meant}?`;
  return `${what}: expected ${listed(choices)}, got ${JSON.stringify(given)}${question}`;
}

const listed = (words: readonly string[]): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

function unknown(rawName: string, flags: readonly Flag[]): string {
  const shown = flags.filter(({ isHidden }) => isHidden !== true).map(({ name }) => name);
  const meant = nearest(rawName.replace(/^-+/, ""), shown);
  return `there is no flag ${rawName}${meant === null ? "" : `; did you mean --${meant}?`}`;
}

function checkCount({ name, positionals: wanted }: Command, given: readonly string[]): void {
  const least = wanted.filter(({ isOptional }) => isOptional !== true);
  const [missing] = least.slice(given.length);
  if (missing !== undefined) throw new UsageError(`${name} needs ${missing.name}`);
  const isOpen = wanted.some(({ isMany }) => isMany === true);
  const surplus = isOpen ? undefined : given[wanted.length];
  if (surplus !== undefined) throw new UsageError(tooMany(name, wanted, surplus));
  for (const [at, { choices, name: what }] of wanted.entries()) {
    const word = given[at];
    if (word !== undefined && choices?.includes(word) === false)
      throw new UsageError(noChoice(what, word, choices));
  }
}

function tooMany(name: string, wanted: readonly Positional[], surplus: string): string {
  const takes = wanted.length === 0 ? "flags only" : `one ${wanted[0]?.name}`;
  return `${name} takes ${takes}; ${JSON.stringify(surplus)} is too many${wanted.length === 0 ? "" : " (quote a text with spaces)"}`;
}

const givenOf = (values: ReadonlyMap<string, readonly (string | true)[]>): Given => {
  const texts = (name: string): string[] =>
    (values.get(name) ?? []).filter((value): value is string => value !== true);
  return { isOn: (name) => values.has(name), texts, text: (name) => texts(name).at(-1) };
};
