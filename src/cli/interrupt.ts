import type { Terminal } from "./terminal.ts";

/**
 * Does something that a Ctrl-C may end: the signal aborts, the deed gives back what it holds and resolves, and the exit code
 * says that it was interrupted.
 * @param deed resolves with the exit code for when it was not
 */
export async function interruptible(
  terminal: Terminal,
  deed: (signal: AbortSignal) => Promise<number>,
): Promise<{ readonly exitCode: number; readonly wasInterrupted: boolean }> {
  const abort = new AbortController();
  let interruptedBy: number | null = null;
  const stopListening = terminal.onInterrupt((exitCode) => {
    interruptedBy ??= exitCode;
    abort.abort(new Error("interrupted"));
  });
  try {
    const exitCode = await deed(abort.signal);
    return { exitCode: interruptedBy ?? exitCode, wasInterrupted: interruptedBy !== null };
  } catch (error) {
    if (interruptedBy === null) throw error;
    return { exitCode: interruptedBy, wasInterrupted: true };
  } finally {
    stopListening();
  }
}
