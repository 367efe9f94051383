/** Claims that wait for their first task. */
import type { Clock } from "../core/clock.ts";
import type { RunningTask } from "../core/task.ts";
import type { Workers } from "../engine/workers.ts";
import { abortWithin } from "../lib/waiting.ts";
import { LONGEST_WAIT_MS } from "./waits.ts";

export type ClaimAsk = Parameters<Workers["claim"]>[0];

export interface ClaimWaits {
  /** Resolves with the tasks of the claim, or with none when the time is over, the signal aborts or the wait is ended. */
  wait(ask: ClaimAsk, withinMs: number, signal: AbortSignal): Promise<readonly RunningTask[]>;
  /** Ends the waits of this worker. */
  endOf(worker: string): void;
  /** Ends all waits. A later wait ends at once. */
  close(): void;
}

export type ClaimWaitsSetup = {
  readonly engine: Pick<Workers, "claim">;
  readonly clock: Pick<Clock, "after">;
};

type Wait = { readonly worker: string; readonly end: () => void };

export function createClaimWaits({ engine, clock }: ClaimWaitsSetup): ClaimWaits {
  const waits = new Set<Wait>();
  let isClosed = false;

  return {
    wait: async (ask, withinMs, signal) => {
      const over = abortWithin(clock, Math.min(withinMs, LONGEST_WAIT_MS), signal);
      const wait = { worker: ask.worker, end: (): void => over.abort() };
      if (isClosed) over.abort();
      waits.add(wait);
      const { tasks } = await engine.claim(ask, over.signal);
      waits.delete(wait);
      over.unlink();
      return tasks;
    },
    endOf: (worker) => {
      for (const wait of waits) if (wait.worker === worker) wait.end();
    },
    close: () => {
      isClosed = true;
      for (const { end } of waits) end();
    },
  };
}
