/** Claims over HTTP: those that wait, those that are repeated under a request id, and those of a worker that leaves. */
import type { Clock } from "../core/clock.ts";
import { isTaskError } from "../core/error.ts";
import type { RunningTask } from "../core/task.ts";
import type { Watchers } from "../engine/watchers.ts";
import type { Workers } from "../engine/workers.ts";
import { abortWithin } from "../lib/waiting.ts";
import { LONGEST_WAIT_MS } from "./waits.ts";
import type { Claim } from "./work-schemas.ts";

export type ClaimsSetup = {
  readonly engine: Pick<Workers, "claim" | "claimNow" | "isDraining" | "recall" | "remember" | "settle"> &
    Pick<Watchers, "look">;
  readonly clock: Pick<Clock, "after">;
  readonly leaseMs: number;
};

export interface Claims {
  /** A claim that is repeated under its request id gets the tasks of the first one that it still holds, in any process. */
  claim(wish: Claim, gone: AbortSignal): Promise<readonly RunningTask[]>;
  /**
   * Ends the claims of these request ids and gives back their tasks. A claim of one of these ids that arrives later, because a
   * proxy has delivered it late, gets none. A claim that waits in another process ends with its first task, which is given back
   * at once.
   */
  leave(worker: string, requests: readonly string[]): Promise<void>;
  /** Ends the waits of this worker in this process. */
  endWaitsOf(worker: string): void;
  /** Ends all waits, and lets none begin. */
  close(): void;
}

/** A claim that waits for work. */
type Wait = { readonly worker: string; readonly end: () => void };

/** A claim under a request id that has not been answered yet. */
type UnderWay = { readonly tasks: Promise<readonly RunningTask[]>; readonly end: () => void };

/** The leases that are noted under the request id of a claim whose worker has left. */
const NO_LEASES = "[]";
/** Longer than proxies keep a request that they have not delivered: the longest usual timeouts are some minutes. */
const LEFT_FOR_MS = 3_600_000;

export function createClaims({ engine, clock, leaseMs }: ClaimsSetup): Claims {
  const waits = new Set<Wait>();
  const underWay = new Map<string, UnderWay>();
  let isClosed = false;

  async function claim(wish: Claim, gone: AbortSignal): Promise<readonly RunningTask[]> {
    if (wish.request === undefined) return claimFor(wish, gone);
    const name = noteOf(wish.worker, wish.request);
    return (underWay.get(name) ?? begin(name, wish, gone)).tasks;
  }

  function begin(name: string, wish: Claim, gone: AbortSignal): UnderWay {
    const left = new AbortController();
    const tasks = claimUnder(name, wish, AbortSignal.any([gone, left.signal])).finally(() => {
      underWay.delete(name);
    });
    const begun = { tasks, end: () => left.abort() };
    underWay.set(name, begun);
    return begun;
  }

  /** The answer is noted in the store; where another process has noted one meanwhile, that one counts. */
  async function claimUnder(name: string, wish: Claim, gone: AbortSignal): Promise<readonly RunningTask[]> {
    const earlier = await engine.recall(name);
    if (earlier !== null) return stillHeld(earlier.value);
    const tasks = await claimFor(wish, gone);
    if (tasks.length === 0) return tasks;
    const leases = JSON.stringify(tasks.map(({ id, token }) => ({ id, token })));
    if (await engine.remember(name, leases, wish.lease ?? leaseMs)) return tasks;
    await giveBackAll(tasks);
    return stillHeld((await engine.recall(name))?.value ?? NO_LEASES);
  }

  async function stillHeld(noted: string): Promise<RunningTask[]> {
    const leases = JSON.parse(noted) as { readonly id: number; readonly token: string }[]; // as `claimUnder` notes them
    const now = await engine.look(
      leases.map(({ id }) => id),
      "whole",
    );
    return leases.flatMap(({ id, token }) => {
      const task = now.get(id);
      return task?.status === "running" && task.token === token ? [task] : [];
    });
  }

  /** Waits as long as the claim asks and the client is connected. Tasks that come after the client has gone are released at once. */
  async function claimFor(wish: Claim, gone: AbortSignal): Promise<readonly RunningTask[]> {
    const { worker, types, max, slots } = wish;
    if (await engine.isDraining(worker)) return []; // asked here, because a repeated claim gets the leases that it holds all the same
    const ask = {
      worker,
      types,
      max,
      leaseMs: wish.lease ?? leaseMs,
      ...(slots === undefined ? {} : { slots }),
    };
    const atOnce = await engine.claimNow(ask);
    const tasks = atOnce.length > 0 || !wish.wait ? atOnce : await waitFor(ask, wish.wait, gone);
    if (!gone.aborted) return tasks;
    await giveBackAll(tasks);
    return [];
  }

  async function waitFor(
    ask: Parameters<Workers["claim"]>[0],
    withinMs: number,
    gone: AbortSignal,
  ): Promise<readonly RunningTask[]> {
    const over = abortWithin(clock, Math.min(withinMs, LONGEST_WAIT_MS), gone);
    const wait = { worker: ask.worker, end: (): void => over.abort() };
    if (isClosed) over.abort();
    waits.add(wait);
    const { tasks } = await engine.claim(ask, over.signal);
    waits.delete(wait);
    over.unlink();
    return tasks;
  }

  const giveBackAll = (tasks: readonly RunningTask[]): Promise<unknown> => Promise.all(tasks.map(giveBack));

  const giveBack = ({ id, token }: RunningTask): Promise<void> =>
    engine.settle(id, token, { kind: "released", delayMs: 0 }).catch((error: unknown) => {
      if (!isTaskError(error)) throw error; // its lease gives it back, only later
    });

  async function leave(worker: string, requests: readonly string[]): Promise<void> {
    await Promise.all([...new Set(requests)].map((request) => endClaim(noteOf(worker, request))));
  }

  /** Begins again where the claim has noted its tasks meanwhile; after that nothing but its worker's leave writes the note. */
  async function endClaim(name: string): Promise<void> {
    const claiming = underWay.get(name);
    claiming?.end();
    for (;;) {
      const noted = await engine.recall(name);
      if (noted !== null) await giveBackAll(await stillHeld(noted.value));
      if (await engine.remember(name, NO_LEASES, LEFT_FOR_MS, noted?.version)) break;
    }
    await claiming?.tasks.catch(() => undefined); // the claim itself is answered with its error
  }

  return {
    claim,
    leave,
    endWaitsOf: (worker) => {
      for (const wait of waits) if (wait.worker === worker) wait.end();
    },
    close: () => {
      isClosed = true;
      for (const { end } of waits) end();
    },
  };
}

/** A hash, because worker and request id may be any text and the names of notes are bounded. */
const noteOf = (worker: string, request: string): string =>
  `claim/${new Bun.CryptoHasher("sha256").update(JSON.stringify([worker, request])).digest("base64url")}`;
