/**
 * The dispatcher: all who wait for work in this process wait here, and one claim serves them all. A thousand waiting
 * workers are one query. It asks the store when somebody comes, when a bell rings and at least every `pollMs`; while
 * nobody waits it does nothing and listens to nothing.
 */
import type { Clock } from "../core/clock.ts";
import type { RunningTask } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createSleeper, onAbort } from "../lib/waiting.ts";
import type { Ask } from "../store/store.ts";
import type { Bell, TaskQueue } from "../wakeup/wake-ups.ts";

export type Claimed = {
  readonly tasks: readonly RunningTask[];
  /** Monotonic time before the leases began. */
  readonly leasedAt: number;
};

export interface Dispatch {
  /** Resolves with tasks as soon as there are some, with none when the signal aborts or the dispatcher closes. */
  claim(ask: Ask, signal: AbortSignal): Promise<Claimed>;
  /** The asks of all who wait. */
  waiting(): Iterable<Ask>;
  /** Answers all who wait with nothing, and waits until what was just being claimed has been given back. */
  close(): Promise<void>;
}

export type DispatchSetup = {
  readonly claim: (asks: readonly Ask[]) => Promise<readonly (readonly RunningTask[])[]>;
  /** Takes back what was claimed for somebody who has gone meanwhile. */
  readonly giveBack: (tasks: readonly RunningTask[]) => Promise<unknown>;
  readonly queue: Pick<TaskQueue, "hear">;
  readonly pollMs: number;
  readonly clock: Clock;
  readonly log: Log;
};

type Waiter = {
  readonly ask: Ask;
  /** Its types as one text: who wishes for the same gets nothing when another one was not filled. */
  readonly wish: string;
  readonly answer: (claimed: Claimed) => void;
  gone: boolean;
};

/**
 * How many with the same wish are asked for once all have waited in vain, twice as many each time that somebody got something:
 * a bell tells mostly of a task or two, and where the first ones are not filled there is nothing for those behind them.
 */
const FIRST_OF_A_WISH = 16;
/** What one call of the store may claim for all; who asks for more is asked for that much. */
const CLAIM_AT_MOST = 1_000;
/**
 * Processes know the store's time to a millisecond or so: what one has just made due may not be due yet by another's clock, and
 * the bell that told of it does not ring again. Without a second look one task in a thousand waited for the poll.
 */
const AGAIN_MS = 3;

export function createDispatch(setup: DispatchSetup): Dispatch {
  const { clock, log } = setup;
  const waiters = new Set<Waiter>();
  let serving: Promise<void> | null = null;
  let closed = false;
  let woken = false;
  let ofAWish = Number.POSITIVE_INFINITY;
  let heardTypes: readonly string[] | null = null; // of all who wait; null when somebody has come or gone since
  const wishes = new Map<string, number>(); // how many wait with it
  const sleeper = createSleeper(clock);
  let hearing: { readonly types: readonly string[]; readonly abort: AbortController } | null = null;
  const bells: Bell[] = []; // heard, to be acknowledged after the next claim

  function claim(ask: Ask, signal: AbortSignal): Promise<Claimed> {
    return new Promise((resolve) => {
      const leave = (): void => waiter.answer({ tasks: [], leasedAt: clock.monotonic() });
      const waiter: Waiter = {
        ask: { ...ask, max: Math.min(ask.max, CLAIM_AT_MOST) },
        wish: ask.types.join(),
        gone: false,
        answer: (claimed) => {
          waiter.gone = true;
          if (waiters.delete(waiter)) leaveWish(waiter.wish);
          unlisten();
          resolve(claimed);
        },
      };
      let unlisten = (): void => undefined;
      if (signal.aborted || closed) return leave();
      unlisten = onAbort(signal, leave);
      waiters.add(waiter);
      enterWish(waiter.wish);
      wake();
      if (serving !== null) return;
      serving = Promise.resolve().then(serve); // all who come in this turn are asked for together
    });
  }

  function enterWish(wish: string): void {
    const count = wishes.get(wish) ?? 0;
    if (count === 0) heardTypes = null;
    wishes.set(wish, count + 1);
  }

  function leaveWish(wish: string): void {
    const left = (wishes.get(wish) ?? 1) - 1;
    if (left > 0) return void wishes.set(wish, left);
    wishes.delete(wish);
    heardTypes = null;
  }

  async function serve(): Promise<void> {
    ofAWish = Number.POSITIVE_INFINITY;
    while (waiters.size > 0) {
      woken = false;
      hear(); // before the claim, so that no bell falls between the two
      const answered = bells.splice(0);
      const claimed = await round();
      const filled = claimed > 0;
      ofAWish = filled ? ofAWish * 2 : FIRST_OF_A_WISH;
      for (const bell of answered) bell.ack(claimed).catch(logFailure("ack_failed"));
      if (waiters.size > 0 && !filled && !woken) {
        await sleeper.sleep(answered.length > 0 ? Math.min(AGAIN_MS, setup.pollMs) : setup.pollMs);
      }
    }
    hush();
    serving = null;
  }

  /** Asks the store for those who wait, in order of arrival, until somebody got something; says how many tasks. */
  async function round(): Promise<number> {
    for (const asked of inClaims(firstOfEachWish())) {
      const claimed = await claimFor(asked);
      if (claimed > 0) return claimed;
    }
    return 0;
  }

  function firstOfEachWish(): Waiter[] {
    if (waiters.size <= ofAWish) return [...waiters];
    const asked = new Map<string, number>();
    return [...waiters].filter(({ wish }) => {
      const before = asked.get(wish) ?? 0;
      asked.set(wish, before + 1);
      return before < ofAWish;
    });
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
      woken = false; // a store that is away is asked again at the next poll
      return 0;
    }
  }

  /** Who has gone meanwhile gets nothing: the tasks go back before anything else is claimed. */
  async function deliver(waiter: Waiter, tasks: readonly RunningTask[], leasedAt: number): Promise<void> {
    if (tasks.length === 0) return;
    if (waiter.gone) await setup.giveBack(tasks);
    else waiter.answer({ tasks, leasedAt });
  }

  function wake(): void {
    woken = true;
    sleeper.wake();
  }

  /** Listens for the types that are waited for. One bell ends a hearing, and so does a wish for other types. */
  function hear(): void {
    heardTypes ??= [...new Set([...wishes.keys()].flatMap((wish) => wish.split(",")))].sort();
    const types = heardTypes;
    if (hearing !== null && isSame(hearing.types, types)) return;
    hush();
    const abort = new AbortController();
    const current = { types, abort };
    hearing = current;
    const ended = (): void => {
      if (hearing === current) hearing = null;
    };
    Promise.try(() => setup.queue.hear(types, abort.signal))
      .finally(ended)
      .then((bell) => {
        if (bell === null) return;
        bells.push(bell);
        wake();
      })
      .catch(logFailure("hear_failed"));
  }

  function hush(): void {
    hearing?.abort.abort();
    hearing = null;
  }

  const logFailure = (event: string) => (error: unknown) => log.warn(event, { error: errorText(error) });

  return {
    claim,
    waiting: () => [...waiters].map(({ ask }) => ask),
    close: async () => {
      closed = true;
      for (const waiter of [...waiters]) waiter.answer({ tasks: [], leasedAt: clock.monotonic() });
      wake();
      await serving;
    },
  };
}

const isSame = (a: readonly string[], b: readonly string[]): boolean =>
  a === b || (a.length === b.length && a.every((type, at) => type === b[at]));

/** Parts those who wait so that none of the claims asks for too much. */
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
