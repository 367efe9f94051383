/**
 * The dispatcher: all claims of this process that wait, served by one call of the store for all of them, so that a thousand waiting
 * workers cost one query. It asks the store when a claim arrives, when a wake-up comes and at least every `pollMs`. While no claim
 * waits it does nothing and listens to nothing.
 */
import type { Clock } from "../core/clock.ts";
import type { RunningTask } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createSleeper, onAbort } from "../lib/waiting.ts";
import type { Ask } from "../store/store.ts";
import type { WakeUp, WakeUps } from "../wakeup/wake-ups.ts";

export type Claimed = {
  readonly tasks: readonly RunningTask[];
  /** Monotonic time before the leases began. */
  readonly leasedAt: number;
};

export interface Dispatch {
  /** Resolves with tasks as soon as there are some, with none when the signal aborts or the dispatcher closes. */
  claim(ask: Ask, signal: AbortSignal): Promise<Claimed>;
  /** What each waiting claim asks for. */
  waiting(): Iterable<Ask>;
  /** No waiting claim had a due task at this moment, monotonic: the next poll may be that much later. */
  foundNothing(at: number): void;
  /** Answers all waiting claims with no tasks, and waits until the tasks of a claim under way have been released. */
  close(): Promise<void>;
}

export type DispatchSetup = {
  readonly claim: (asks: readonly Ask[]) => Promise<readonly (readonly RunningTask[])[]>;
  /** Releases tasks whose claim has ended meanwhile. */
  readonly giveBack: (tasks: readonly RunningTask[]) => Promise<unknown>;
  readonly wakeUps: Pick<WakeUps, "listen">;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly log: Log;
};

type Waiter = {
  readonly ask: Ask;
  /** Its types as one text. If one waiter got less than it asked for, the others with the same types get nothing. */
  readonly typeSet: string;
  readonly answer: (claimed: Claimed) => void;
  isGone: boolean;
};

/**
 * Exponential probe: after a claim without tasks, the store is asked for the first 16 waiters of each type set; their number doubles
 * after each claim with tasks. Most wake-ups are for one or two tasks.
 */
const FIRST_PROBE = 16;
/** The highest number of tasks that one call of the store claims. */
const CLAIM_AT_MOST = 1_000;
/**
 * Processes know the store's time to about a millisecond: a task that one process has just made due may not be due yet by the clock of another,
 * and its wake-up does not come again. Without a second claim one task in a thousand waited for the poll.
 */
const AGAIN_MS = 3;

export function createDispatch(setup: DispatchSetup): Dispatch {
  const { clock, log } = setup;
  const waiters = new Set<Waiter>();
  const typeSets = createTypeSets();
  const sleeper = createSleeper(clock);
  let serving: Promise<void> | null = null;
  let isClosed = false;
  let isWoken = false;
  let nothingAt = Number.NEGATIVE_INFINITY; // monotonic
  let probe = Number.POSITIVE_INFINITY; // how many waiters of each type set the next claim is for

  const logFailure = (event: string) => (error: unknown) => log.warn(event, { error: errorText(error) });
  const listener = createListener({
    wakeUps: setup.wakeUps,
    onWakeUp: wake,
    onError: logFailure("hear_failed"),
  });

  function claim(ask: Ask, signal: AbortSignal): Promise<Claimed> {
    return new Promise((resolve) => {
      const leave = (): void => waiter.answer({ tasks: [], leasedAt: clock.monotonic() });
      let unlisten = (): void => undefined;
      const waiter: Waiter = {
        ask: { ...ask, max: Math.min(ask.max, CLAIM_AT_MOST) },
        typeSet: ask.types.join(),
        isGone: false,
        answer: (claimed) => {
          waiter.isGone = true;
          if (waiters.delete(waiter)) typeSets.remove(waiter.typeSet);
          unlisten();
          resolve(claimed);
        },
      };
      if (signal.aborted || isClosed) return leave();
      unlisten = onAbort(signal, leave);
      waiters.add(waiter);
      typeSets.add(waiter.typeSet);
      wake();
      if (serving !== null) return;
      serving = Promise.resolve().then(serve); // all claims of this turn of the event loop are served together
    });
  }

  async function serve(): Promise<void> {
    probe = Number.POSITIVE_INFINITY;
    while (waiters.size > 0) {
      isWoken = false;
      listener.listen(typeSets.types()); // before the claim, so that no wake-up is missed between the two
      const wakeUps = listener.take();
      const claimed = await round();
      probe = claimed > 0 ? probe * 2 : FIRST_PROBE;
      for (const wakeUp of wakeUps) wakeUp.ack(claimed).catch(logFailure("ack_failed"));
      if (waiters.size > 0 && claimed === 0 && !isWoken) {
        const isSoon = wakeUps.some(({ isLate }) => isLate !== true);
        await sleeper.sleep(isSoon ? Math.min(AGAIN_MS, setup.pollMs) : setup.pollMs);
        if (!isSoon) await sleepWhileNothing();
      }
    }
    listener.stop();
    serving = null;
  }

  async function sleepWhileNothing(): Promise<void> {
    for (;;) {
      const leftMs = nothingAt + setup.pollMs - clock.monotonic();
      if (isWoken || waiters.size === 0 || leftMs <= 0) return;
      await sleeper.sleep(leftMs);
    }
  }

  /** Claims for the waiters in order of arrival, until there were tasks; returns how many. */
  async function round(): Promise<number> {
    for (const asked of inClaims(firstOfEachTypeSet(waiters, probe))) {
      const claimed = await claimFor(asked);
      if (claimed > 0) return claimed;
    }
    return 0;
  }

  async function claimFor(asked: readonly Waiter[]): Promise<number> {
    const leasedAt = clock.monotonic();
    try {
      const answers = await setup.claim(asked.map(({ ask }) => ask));
      const given = asked.map((waiter, at) => deliver(waiter, answers[at] ?? [], leasedAt));
      await Promise.all(given);
      return answers.reduce((count, tasks) => count + tasks.length, 0);
    } catch (error) {
      logFailure("claim_failed")(error);
      isWoken = false; // a store that is unavailable is asked again at the next poll
      return 0;
    }
  }

  /** Before another claim, the tasks of a waiter whose signal has aborted meanwhile are returned to the store. */
  async function deliver(waiter: Waiter, tasks: readonly RunningTask[], leasedAt: number): Promise<void> {
    if (tasks.length === 0) return;
    if (waiter.isGone) await setup.giveBack(tasks);
    else waiter.answer({ tasks, leasedAt });
  }

  function wake(): void {
    isWoken = true;
    sleeper.wake();
  }

  return {
    claim,
    waiting: () => [...waiters].map(({ ask }) => ask),
    foundNothing: (at) => {
      nothingAt = at;
    },
    close: async () => {
      isClosed = true;
      for (const waiter of [...waiters]) waiter.answer({ tasks: [], leasedAt: clock.monotonic() });
      wake();
      await serving;
    },
  };
}

/** Counts the waiters of each type set, so that the types to listen for are computed only after a change. */
function createTypeSets() {
  const counts = new Map<string, number>();
  let types: readonly string[] | null = null;
  return {
    add: (typeSet: string): void => {
      const count = counts.get(typeSet) ?? 0;
      if (count === 0) types = null;
      counts.set(typeSet, count + 1);
    },
    remove: (typeSet: string): void => {
      const left = (counts.get(typeSet) ?? 1) - 1;
      if (left > 0) return void counts.set(typeSet, left);
      counts.delete(typeSet);
      types = null;
    },
    /** The types of all waiters, sorted; the same array while they do not change. */
    types: (): readonly string[] => {
      types ??= [...new Set([...counts.keys()].flatMap((typeSet) => typeSet.split(",")))].sort();
      return types;
    },
  };
}

/** Listens for wake-ups of certain types. One wake-up ends the listening; so does a call for other types. */
function createListener(setup: {
  readonly wakeUps: Pick<WakeUps, "listen">;
  readonly onWakeUp: () => void;
  readonly onError: (error: unknown) => void;
}) {
  const wakeUps: WakeUp[] = []; // they are acknowledged after the next claim
  let listening: { readonly types: readonly string[]; readonly abort: AbortController } | null = null;

  function stop(): void {
    listening?.abort.abort();
    listening = null;
  }

  function listen(types: readonly string[]): void {
    if (listening !== null && isSame(listening.types, types)) return;
    stop();
    const abort = new AbortController();
    const current = { types, abort };
    listening = current;
    const ended = (): void => {
      if (listening === current) listening = null;
    };
    Promise.try(() => setup.wakeUps.listen(types, abort.signal))
      .finally(ended)
      .then((wakeUp) => {
        if (wakeUp === null) return;
        wakeUps.push(wakeUp);
        setup.onWakeUp();
      })
      .catch(setup.onError);
  }

  /** The wake-ups that have come since the last call. */
  const take = (): WakeUp[] => wakeUps.splice(0);

  return { listen, stop, take };
}

function firstOfEachTypeSet(waiters: ReadonlySet<Waiter>, most: number): Waiter[] {
  if (waiters.size <= most) return [...waiters];
  const counts = new Map<string, number>();
  return [...waiters].filter(({ typeSet }) => {
    const before = counts.get(typeSet) ?? 0;
    counts.set(typeSet, before + 1);
    return before < most;
  });
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((type, at) => type === b[at]));

/** Splits the waiters so that no claim asks for too many tasks. */
function inClaims(waiters: readonly Waiter[]): Waiter[][] {
  const claims: Waiter[][] = [];
  let left = 0;
  for (const waiter of waiters) {
    if (waiter.ask.max > left) {
      claims.push([]);
      left = CLAIM_AT_MOST;
    }
    claims.at(-1)?.push(waiter);
    left -= waiter.ask.max;
  }
  return claims;
}
