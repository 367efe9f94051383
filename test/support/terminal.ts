import type { Terminal } from "../../src/cli/terminal.ts";
import { createManualClock, type ManualClock } from "./clock.ts";
import { NOON } from "./tasks.ts";

export interface TestTerminal extends Terminal {
  readonly clock: ManualClock;
  /** Everything that was written to its standard output and standard error. */
  readonly written: { out: string; err: string };
  resize(columns: number, rows: number): void;
  interrupt(): void;
}

/** A terminal for tests: the time is noon, and the width is 80 columns by default. */
export function createTestTerminal(
  setup: { readonly isTerminal?: boolean; readonly env?: Terminal["env"] } = {},
): TestTerminal {
  const { isTerminal = true, env = {} } = setup;
  let size = { columns: 80, rows: 24 };
  const written = { out: "", err: "" };
  const onResize = new Set<() => void>();
  const onInterrupt = new Set<(exitCode: number) => void>();
  const outputOf = (name: "out" | "err") => ({
    isTerminal,
    size: () => size,
    write: (text: string) => {
      written[name] += text;
    },
  });
  return {
    ...{ out: outputOf("out"), err: outputOf("err"), env, clock: createManualClock(NOON), written },
    readInput: async () => "",
    readFile: async (path) => Promise.reject(new Error(`there is no ${path}`)),
    ask: async () => null,
    onResize: (run) => {
      onResize.add(run);
      return () => onResize.delete(run);
    },
    onInterrupt: (run) => {
      onInterrupt.add(run);
      return () => onInterrupt.delete(run);
    },
    flushed: async () => undefined,
    resize: (columns, rows) => {
      size = { columns, rows };
      for (const run of onResize) run();
    },
    interrupt: () => {
      for (const run of onInterrupt) run(130);
    },
  };
}
