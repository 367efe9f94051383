import type { Clock } from "../core/clock.ts";
import { linkedAbort, sleep } from "../lib/waiting.ts";
import type { Ask } from "../store/store.ts";
import type { Claimed } from "./dispatch.ts";
import type { Engine } from "./engine.ts";

/** How often a worker that waits looks whether it was drained meanwhile, or may take on again. */
const LOOK_EVERY_MS = 1_000;

/**
 * The engine as the server's own pool drinks from it. Remote workers learn of a drain by the answers to their calls; the pool asks
 * nobody anything, so it is here that it gets nothing while it is drained.
 */
export function createOwnSource(engine: Engine, clock: Clock) {
  async function claim(ask: Ask, signal: AbortSignal): Promise<Claimed> {
    while (!signal.aborted) {
      if (await engine.isDraining(ask.worker)) {
        await sleep(clock, LOOK_EVERY_MS, signal);
        continue;
      }
      const claimed = await claimUntilDrained(ask, signal);
      if (claimed.tasks.length > 0) return claimed;
    }
    return { tasks: [], leasedAt: clock.monotonic() };
  }

  /** Nothing when it was drained, or the signal has aborted. */
  async function claimUntilDrained(ask: Ask, signal: AbortSignal): Promise<Claimed> {
    const waiting = linkedAbort(signal);
    let cancelLook = clock.after(LOOK_EVERY_MS, look);
    async function look(): Promise<void> {
      if (await engine.isDraining(ask.worker)) waiting.abort();
      else if (!waiting.signal.aborted) cancelLook = clock.after(LOOK_EVERY_MS, look);
    }
    try {
      return await engine.claimOwn(ask, waiting.signal);
    } finally {
      waiting.abort();
      cancelLook();
      waiting.unlink();
    }
  }

  const { extend, settle, onRevoked } = engine;
  return { claim, extend, settle, onRevoked };
}
