import type { Terminal } from "./terminal.ts";

/**
 * Runs a function that a Ctrl-C may end: its signal aborts, the function resolves, and the exit code shows
 * the interruption.
 * @param run resolves with the exit code of a run that was not interrupted
 */
export async function interruptible(
  terminal: Terminal,
  run: (signal: AbortSignal) => Promise<number>,
): Promise<{ readonly exitCode: number; readonly wasInterrupted: boolean }> {
  const abort = new AbortController();
  let interruptedBy: number | null = null;
  const stopListening = terminal.onInterrupt((exitCode) => {
    interruptedBy ??= exitCode;
    abort.abort(new Error("interrupted"));
  });
  try {
    const exitCode = await run(abort.signal);
    return { exitCode: interruptedBy ?? exitCode, wasInterrupted: interruptedBy !== null };
  } catch (error) {
    if (interruptedBy === null) throw error;
    return { exitCode: interruptedBy, wasInterrupted: true };
  } finally {
    stopListening();
  }
}
