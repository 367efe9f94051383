/**
 * The command line. Each command loads only the modules that it runs. Loading all modules takes three times
 * as long as loading the commands, and ten times as long as the start of the runtime.
 */
import { ONE_OF_SEVERAL, RUN_HANDLERS } from "./processes.ts";
import { createTerminal, endWithOutput, outliveOutput } from "./terminal.ts";

/** Resolves with the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const [word, ...rest] = argv;
  if (word === RUN_HANDLERS) {
    outliveOutput();
    return (await import("./run-handlers.ts")).runHandlers(rest);
  }
  const { commandNamed, runCommand, runOneOfSeveral } = await import("./commands.ts");
  if (word === ONE_OF_SEVERAL) {
    outliveOutput();
    return runOneOfSeveral(rest);
  }
  if (commandNamed(word)?.outlivesOutput) outliveOutput();
  else endWithOutput();
  return runCommand(argv, createTerminal());
}
