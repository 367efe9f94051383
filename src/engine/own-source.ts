import type { Clock } from "../core/clock.ts";
import { linkedAbort, sleep } from "../lib/waiting.ts";
import type { Ask } from "../store/store.ts";
import type { Claimed } from "./dispatch.ts";
import type { Workers } from "./workers.ts";

/** How often a waiting worker checks whether it was drained meanwhile, or may take tasks again. */
const CHECK_EVERY_MS = 1_000;

/**
 * The engine as the source of tasks for the server's own processor. Remote workers get a drain request with the answers to their calls.
 * The processor makes no such calls, so this source gives it no tasks while it is drained.
 */
export function createOwnSource(engine: Workers, clock: Clock) {
  async function claim(ask: Ask, signal: AbortSignal): Promise<Claimed> {
    while (!signal.aborted) {
      if (await engine.isDraining(ask.worker)) {
        await sleep(clock, CHECK_EVERY_MS, signal);
        continue;
      }
      const claimed = await claimUntilDrained(ask, signal);
      if (claimed.tasks.length > 0) return claimed;
    }
    return { tasks: [], leasedAt: clock.monotonic() };
  }

  /** No tasks if the worker was drained, or the signal has aborted. */
  async function claimUntilDrained(ask: Ask, signal: AbortSignal): Promise<Claimed> {
    const waiting = linkedAbort(signal);
    let cancelCheck = clock.after(CHECK_EVERY_MS, check);
    async function check(): Promise<void> {
      if (await engine.isDraining(ask.worker)) waiting.abort();
      else if (!waiting.signal.aborted) cancelCheck = clock.after(CHECK_EVERY_MS, check);
    }
    try {
      return await engine.claimOwn(ask, waiting.signal);
    } finally {
      waiting.abort();
      cancelCheck();
      waiting.unlink();
    }
  }

  const { extend, settle, onRevoked } = engine;
  return { claim, extend, settle, onRevoked };
}
