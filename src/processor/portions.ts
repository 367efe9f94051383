/** Many runs that were claimed together start in portions, so that the store works meanwhile. */
import { nextTurn } from "../lib/waiting.ts";

/** Fewer tasks start at once, without a wait for the next turn of the event loop. */
const FEW = 16;
const STARTED_AT_ONCE = 125;

/**
 * Starts each portion in a turn of the event loop of its own. What a turn has written is sent at its end: so the store has the next
 * claim, and then the outcomes of a portion, while this process runs the next portion.
 */
export async function startInPortions<T>(runs: readonly T[], start: (run: T) => void): Promise<void> {
  for (let from = 0; from < runs.length; from += STARTED_AT_ONCE) {
    if (runs.length > FEW) await nextTurn();
    for (const run of runs.slice(from, from + STARTED_AT_ONCE)) start(run);
  }
}
