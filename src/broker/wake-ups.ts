/** The parts of wake-ups that are the same for all brokers. */
import { takesType, typeFault } from "../core/task.ts";
import type { Log } from "../lib/log.ts";
import type { Bell } from "../wakeup/wake-ups.ts";

/** Beyond it a broker that is slow or frozen gets no more; workers look by themselves meanwhile. */
export const UNCONFIRMED_AT_MOST = 1_000;
/** Until then each process has either heard it, or had no room and looks when it has. */
export const BELL_LIVES_MS = 30_000;

/** What one process hears of one set of types. */
export interface Subscription {
  hear(signal: AbortSignal): Promise<Bell | null>;
  isLive(): boolean;
  close(): Promise<void>;
}

/** One subscription for each set of types, from the first time that somebody hears it. */
export function createSubscriptions(subscribe: (types: readonly string[]) => Subscription) {
  const bySet = new Map<string, Subscription>();
  let isClosed = false;
  const keyOf = (types: readonly string[]): string => [...types].sort().join();
  return {
    hear: (types: readonly string[], signal: AbortSignal): Promise<Bell | null> => {
      if (isClosed || signal.aborted) return Promise.resolve(null);
      const known = bySet.get(keyOf(types)) ?? subscribe(types);
      bySet.set(keyOf(types), known);
      return known.hear(signal);
    },
    isLive: (types: readonly string[]): boolean => bySet.get(keyOf(types))?.isLive() ?? false,
    close: async (): Promise<void> => {
      isClosed = true;
      await Promise.all([...bySet.values()].map((one) => one.close()));
    },
  };
}

const READABLE_AT_MOST = 100;

/** The same in every process that takes these types; to be read by a person where there are few. */
export function nameOfSet(prefix: string, types: readonly string[]): string {
  const text = [...types].sort().join();
  if (text.length <= READABLE_AT_MOST) return `${prefix}:${text}`;
  return `${prefix}:${new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 32)}`;
}

/** Who is woken takes as many tasks as it has room for, so this is how many processes one commit can wake for a type. */
const RING_AT_MOST = 100;

export function bellsFor(types: readonly string[]): string[] {
  const counts = new Map<string, number>();
  return types.filter((type) => {
    const count = counts.get(type) ?? 0;
    counts.set(type, count + 1);
    return count < RING_AT_MOST;
  });
}

const TOLD_EVERY = 1_000;

/** Whether a message is a bell for one of these types; what is none at all is of no use to anyone, and is counted. */
export function createBellFilter(log: Log): (types: readonly string[], type: string) => boolean {
  let malformed = 0;
  return (types, type) => {
    if (typeFault(type) === null) return types.some((pattern) => takesType(pattern, type));
    if (malformed++ % TOLD_EVERY === 0)
      log.warn("malformed_bell", { bell: type.slice(0, 100), count: malformed });
    return false;
  };
}
