/** Claims for workers over HTTP and in this process: a claim that waits for due tasks, and a claim that is answered at once. */
import type { Clock } from "../core/clock.ts";
import type { RunningTask } from "../core/task.ts";
import { ANSWER_LEAST_BYTES, textSize } from "../core/text-size.ts";
import type { Log } from "../lib/log.ts";
import type { Service } from "../lib/service.ts";
import type { Ask, TaskStore } from "../store/store.ts";
import type { WakeUps } from "../wakeup/wake-ups.ts";
import { createStoreBatch } from "./batches.ts";
import { type Claimed, createDispatch, type Dispatch } from "./dispatch.ts";

export interface Claims {
  /** Resolves with tasks as soon as there are some, with none when the signal aborts or the process stops. */
  claim(ask: Ask, signal: AbortSignal): Promise<Claimed>;
  /** The same for workers in this process, which `ownWakeUps` wakes if there is one. */
  claimOwn(ask: Ask, signal: AbortSignal): Promise<Claimed>;
  /** The tasks that are due now. Asks in one turn of the event loop share one call of the store. */
  claimNow(ask: Ask): Promise<readonly RunningTask[]>;
}

export type ClaimsSetup = {
  readonly store: Pick<TaskStore, "claim">;
  readonly now: () => number;
  readonly nonce: () => string;
  /** Wakes waiting claims. */
  readonly wakeUps: WakeUps;
  /** Wakes the waiting claims of this process's own workers. */
  readonly ownWakeUps: WakeUps;
  readonly pollMs: number;
  /** Called after each call of the store: the answer to each ask. */
  readonly onClaimed: (asks: readonly Ask[], claimed: readonly (readonly RunningTask[])[]) => void;
  /** Releases tasks that were claimed for a worker that has disconnected. */
  readonly giveBack: (tasks: readonly RunningTask[]) => Promise<unknown>;
  readonly clock: Clock;
  readonly log: Log;
};

export function createClaims(setup: ClaimsSetup): Claims & {
  /** What each waiting claim asks for. */
  waiting(): Iterable<Ask>;
  /** There was no due task for any of them at this moment, monotonic. */
  foundNothing(at: number): void;
  readonly service: Service;
} {
  const { store, wakeUps, ownWakeUps, pollMs, giveBack, clock, log } = setup;
  const claimsNow = createStoreBatch<Ask, readonly RunningTask[]>({ send: claimNowAll });

  async function claimAll(asks: readonly Ask[]): Promise<RunningTask[][]> {
    const claimed = await store.claim(asks, { now: setup.now(), nonce: setup.nonce() });
    setup.onClaimed(asks, claimed);
    return claimed;
  }

  /** If an ask got nothing because the tasks of other asks filled the store's answer, it is sent again. */
  async function claimNowAll(asks: readonly Ask[]): Promise<(readonly RunningTask[])[]> {
    const answers: (readonly RunningTask[])[] = await claimAll(asks);
    let latest = answers;
    while (mayBeCut(latest)) {
      const unserved = [...asks.keys()].filter((at) => answers[at]?.length === 0);
      if (unserved.length === 0) break;
      // The tasks of the earlier calls are claimed and must reach the workers, even if this call fails.
      latest = await claimAll(unserved.flatMap((at) => asks[at] ?? [])).catch(() => []);
      for (const [n, at] of unserved.entries()) answers[at] = latest[n] ?? [];
    }
    return answers;
  }

  const dispatchBy = (source: WakeUps): Dispatch =>
    createDispatch({ claim: claimAll, giveBack, wakeUps: source, pollMs, clock, log });

  const dispatch = dispatchBy(wakeUps);
  const ownDispatch = ownWakeUps === wakeUps ? dispatch : dispatchBy(ownWakeUps);

  return {
    claim: dispatch.claim,
    claimOwn: ownDispatch.claim,
    claimNow: (ask) => claimsNow(ask),
    waiting: () =>
      ownDispatch === dispatch ? dispatch.waiting() : [...dispatch.waiting(), ...ownDispatch.waiting()],
    foundNothing: (at) => {
      dispatch.foundNothing(at);
      ownDispatch.foundNothing(at);
    },
    service: {
      name: "waiting claims",
      start: () => undefined,
      stop: async () => {
        await Promise.all([dispatch.close(), ownDispatch.close()]);
      },
    },
  };
}

/** Whether a store may have ended the answer at its size limit: due tasks may then be left. */
function mayBeCut(answers: readonly (readonly RunningTask[])[]): boolean {
  let size = 0;
  for (const tasks of answers) for (const task of tasks) size += textSize(task);
  return size >= ANSWER_LEAST_BYTES;
}
