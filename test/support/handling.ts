import type { Outcome } from "../../src/core/outcome.ts";
import { execute } from "../../src/processor/execute.ts";
import type { Handler } from "../../src/processor/handler.ts";
import type { ClaimedTask } from "../../src/processor/source.ts";
import { runningTask } from "./tasks.ts";

/** Runs a handler on one task, as a worker does; resolves with the outcome. */
export async function runOnce(
  handler: Handler,
  task: Partial<ClaimedTask> = {},
  signal: AbortSignal = new AbortController().signal,
): Promise<Outcome> {
  const claimed: ClaimedTask = { ...runningTask(), token: "1.a", ...task };
  const context = { signal, progress: () => undefined, log: () => undefined };
  const outcome = await execute(handler, claimed, { context, stop: { reason: null } });
  if (outcome === null) throw new Error("there is no outcome to report");
  return outcome;
}
