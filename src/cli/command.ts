/** A command is data: its name, its flags and its function. The parser, the help and the completion scripts read it. */
import type { Paint } from "./show/paint.ts";
import type { Terminal } from "./terminal.ts";

export type Flag = {
  readonly name: string;
  readonly about: string;
  /** The name of its value in the help. A flag without a value is on or off. */
  readonly value?: string;
  /** May be repeated. */
  readonly isMany?: boolean;
  /** The allowed values. */
  readonly choices?: readonly string[];
  /** Accepted, but left out of help and completion. */
  readonly isHidden?: boolean;
};

export type Positional = {
  readonly name: string;
  readonly isMany?: boolean;
  readonly isOptional?: boolean;
  readonly choices?: readonly string[];
};

export type Example = { readonly line: string; readonly about: string };

export type Command = {
  readonly name: string;
  /** A phrase for the list of commands. */
  readonly about: string;
  /** Further text of the help page. */
  readonly details?: string;
  readonly positionals: readonly Positional[];
  readonly flags: readonly Flag[];
  readonly examples: readonly Example[];
  /** The command continues when its output pipe is closed, because its output is not its purpose. All other commands end then. */
  readonly outlivesOutput?: true;
  /** Resolves with the exit code. Throws a UsageError for invalid arguments. */
  readonly run: (call: Call) => Promise<number>;
};

/** The flags on the command line, by their names. */
export type Given = {
  readonly isOn: (name: string) => boolean;
  readonly text: (name: string) => string | undefined;
  readonly texts: (name: string) => readonly string[];
};

export type Call = {
  readonly given: Given;
  readonly positionals: readonly string[];
  readonly terminal: Terminal;
  readonly paint: Paint;
  /** All commands. */
  readonly commands: readonly Command[];
};

/** The command line is invalid. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
