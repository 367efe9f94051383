/** A command is data: its words, its flags and what it does. Help, completion and parsing are made of it. */
import type { Paint } from "./show/paint.ts";
import type { Terminal } from "./terminal.ts";

export type Flag = {
  readonly name: string;
  readonly about: string;
  /** What stands for its value in the help; a flag without one is on or off. */
  readonly value?: string;
  /** May be repeated. */
  readonly isMany?: boolean;
  /** All that it may be. */
  readonly choices?: readonly string[];
  /** Taken, but not worth a line of help or a completion. */
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
  /** Half a line for the list of commands. */
  readonly about: string;
  /** What else is to be known, in lines as they are to stand. */
  readonly details?: string;
  readonly positionals: readonly Positional[];
  readonly flags: readonly Flag[];
  readonly examples: readonly Example[];
  /** The command goes on when its output has no reader, because its work is not its output. Every other command then ends. */
  readonly outlivesOutput?: true;
  /** Resolves with the exit code. Throws a UsageError for what cannot be meant. */
  readonly run: (call: Call) => Promise<number>;
};

/** What was given on the command line, by the names of the command's flags. */
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
  /** All there are. */
  readonly commands: readonly Command[];
};

/** The command line itself is at fault. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
