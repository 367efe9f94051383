/**
 * Claims over HTTP: claims that wait, claims that are repeated under a request id, and the claims of a worker
 * that leaves.
 */
import type { Clock } from "../core/clock.ts";
import { isTaskError } from "../core/error.ts";
import type { RunningTask } from "../core/task.ts";
import type { Watchers } from "../engine/watchers.ts";
import type { Workers } from "../engine/workers.ts";
import { createClaimWaits } from "./claim-waits.ts";
import type { Claim } from "./work-schemas.ts";

export type ClaimsSetup = {
  readonly engine: Pick<Workers, "claim" | "claimNow" | "isDraining" | "recall" | "remember" | "settle"> &
    Pick<Watchers, "readMany">;
  readonly clock: Pick<Clock, "after">;
  readonly leaseMs: number;
};

export interface Claims {
  /**
   * A claim that is repeated under its request id gets the tasks that the first one was given and whose
   * leases still hold, in any process.
   */
  claim(asked: Claim, disconnected: AbortSignal): Promise<readonly RunningTask[]>;
  /**
   * Ends the claims of these request ids and releases their tasks. A claim of one of these ids that arrives
   * later, because a proxy has delivered it late, gets none. A claim that waits in another process ends with
   * its first task, which is released at once.
   */
  leave(worker: string, requests: readonly string[]): Promise<void>;
  /** Ends the waits of this worker in this process. */
  endWaitsOf(worker: string): void;
  /** Ends all waits. A later wait ends at once. */
  close(): void;
}

/** A claim under a request id that has not been answered yet. */
type UnderWay = { readonly tasks: Promise<readonly RunningTask[]>; readonly end: () => void };

/** What is stored under the request id of a claim whose worker has left. */
const NO_LEASES = "[]";
/**
 * Longer than a proxy keeps a request that it has not delivered: the longest usual timeouts are some minutes.
 */
const LEFT_FOR_MS = 3_600_000;

export function createClaims({ engine, clock, leaseMs }: ClaimsSetup): Claims {
  const waits = createClaimWaits({ engine, clock });
  const underWay = new Map<string, UnderWay>();

  async function claim(asked: Claim, disconnected: AbortSignal): Promise<readonly RunningTask[]> {
    if (asked.request === undefined) return claimFor(asked, disconnected);
    const name = documentOf(asked.worker, asked.request);
    return (underWay.get(name) ?? begin(name, asked, disconnected)).tasks;
  }

  function begin(name: string, asked: Claim, disconnected: AbortSignal): UnderWay {
    const left = new AbortController();
    const tasks = claimUnder(name, asked, AbortSignal.any([disconnected, left.signal])).finally(() => {
      underWay.delete(name);
    });
    const begun = { tasks, end: () => left.abort() };
    underWay.set(name, begun);
    return begun;
  }

  /**
   * Stores the leases of the answer. If another process has stored an answer to the same claim meanwhile,
   * that answer counts.
   */
  async function claimUnder(
    name: string,
    asked: Claim,
    disconnected: AbortSignal,
  ): Promise<readonly RunningTask[]> {
    const earlier = await engine.recall(name);
    if (earlier !== null) return stillHeld(earlier.value);
    const tasks = await claimFor(asked, disconnected);
    if (tasks.length === 0) return tasks;
    const leases = JSON.stringify(tasks.map(({ id, token }) => ({ id, token })));
    if (await engine.remember(name, leases, asked.lease ?? leaseMs)) return tasks;
    await giveBackAll(tasks);
    return stillHeld((await engine.recall(name))?.value ?? NO_LEASES);
  }

  async function stillHeld(stored: string): Promise<RunningTask[]> {
    const leases = JSON.parse(stored) as { readonly id: number; readonly token: string }[]; // as `claimUnder` stores them
    const now = await engine.readMany(
      leases.map(({ id }) => id),
      "whole",
    );
    return leases.flatMap(({ id, token }) => {
      const task = now.get(id);
      return task?.status === "running" && task.token === token ? [task] : [];
    });
  }

  /**
   * Waits as long as the claim asks and the client is connected. Tasks that are claimed after the client has
   * disconnected are released at once.
   */
  async function claimFor(asked: Claim, disconnected: AbortSignal): Promise<readonly RunningTask[]> {
    const { worker, types, max, slots } = asked;
    // Asked here, because a draining worker that repeats a claim still gets the leases that it holds.
    if (await engine.isDraining(worker)) return [];
    const ask = {
      worker,
      types,
      max,
      leaseMs: asked.lease ?? leaseMs,
      ...(slots === undefined ? {} : { slots }),
    };
    const atOnce = await engine.claimNow(ask);
    const tasks = atOnce.length > 0 || !asked.wait ? atOnce : await waits.wait(ask, asked.wait, disconnected);
    if (!disconnected.aborted) return tasks;
    await giveBackAll(tasks);
    return [];
  }

  const giveBackAll = (tasks: readonly RunningTask[]): Promise<unknown> => Promise.all(tasks.map(giveBack));

  const giveBack = ({ id, token }: RunningTask): Promise<void> =>
    engine.settle(id, token, { kind: "released", delayMs: 0 }).catch((error: unknown) => {
      if (!isTaskError(error)) throw error; // the task is released later, when its lease expires
    });

  async function leave(worker: string, requests: readonly string[]): Promise<void> {
    await Promise.all([...new Set(requests)].map((request) => endClaim(documentOf(worker, request))));
  }

  /**
   * Starts again if the claim has stored its leases meanwhile. After that, only a leave writes this document.
   */
  async function endClaim(name: string): Promise<void> {
    const claiming = underWay.get(name);
    claiming?.end();
    for (;;) {
      const stored = await engine.recall(name);
      if (stored !== null) await giveBackAll(await stillHeld(stored.value));
      if (await engine.remember(name, NO_LEASES, LEFT_FOR_MS, stored?.version)) break;
    }
    await claiming?.tasks.catch(() => undefined); // the claim itself is answered with its error
  }

  return { claim, leave, endWaitsOf: waits.endOf, close: waits.close };
}

/** A hash, because worker and request id may be any text, and the length of such names is limited. */
const documentOf = (worker: string, request: string): string =>
  `claim/${new Bun.CryptoHasher("sha256").update(JSON.stringify([worker, request])).digest("base64url")}`;
