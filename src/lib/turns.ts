/**
 * Calls with one key run one after another, in their order of arrival; calls with different keys run at the same time.
 *
 * Steps of one task need this: each reads the task and writes its next version by compare-and-set. Started together, all
 * but one lose each round and read again, so that 400 edits of one task took 80,000 calls of the store.
 */
export type TurnsSetup = {
  /** An error that also fails the queued calls, without an attempt: if the store is unavailable, each would wait for its time-out. */
  readonly failsAll: (error: unknown) => boolean;
};

export interface Turns<Key> {
  /** Runs the call when the earlier calls with this key have ended; returns its result. */
  take<Answer>(key: Key, call: () => Promise<Answer>): Promise<Answer>;
  /** The number of calls that have not started yet. */
  readonly waiting: number;
}

type Entry = { readonly start: () => Promise<unknown>; readonly reject: (error: unknown) => void };

export function createTurns<Key>({ failsAll }: TurnsSetup): Turns<Key> {
  /** The calls queued behind the running one, by key; no entry if none runs. */
  const queues = new Map<Key, Entry[]>();
  let waiting = 0;

  async function take<Answer>(key: Key, call: () => Promise<Answer>): Promise<Answer> {
    const queue = queues.get(key);
    if (queue === undefined) {
      queues.set(key, []);
      return run(key, call);
    }
    waiting++;
    return new Promise((resolve, reject) => {
      queue.push({ start: () => run(key, call).then(resolve, reject), reject });
    });
  }

  async function run<Answer>(key: Key, call: () => Promise<Answer>): Promise<Answer> {
    try {
      const answer = await call();
      startNext(key);
      return answer;
    } catch (error) {
      if (failsAll(error)) failWaiting(key, error);
      startNext(key);
      throw error;
    }
  }

  function startNext(key: Key): void {
    const next = queues.get(key)?.shift();
    if (next === undefined) {
      queues.delete(key);
      return;
    }
    waiting--;
    void next.start();
  }

  function failWaiting(key: Key, error: unknown): void {
    const failed = queues.get(key)?.splice(0) ?? [];
    waiting -= failed.length;
    for (const { reject } of failed) reject(error);
  }

  return {
    take,
    get waiting() {
      return waiting;
    },
  };
}
