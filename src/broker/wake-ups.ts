/** Wake-ups by a broker: the parts that are the same for RabbitMQ and Kafka. */
import type { Clock } from "../core/clock.ts";
import { takesType, typeFault } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { BrokerWakeUps, WakeUp } from "../wakeup/wake-ups.ts";
import { createUnacked, type Unacked } from "./unacked.ts";

/** How one broker carries wake-ups. */
export type WakeUpTransport = {
  /** For errors, such as RabbitMQ. */
  readonly broker: string;
  /** The prefix of the names of its queues or consumer groups. */
  readonly name: string;
  /** The broker's word for the object that each set of types has. */
  readonly unit: "queue" | "group";
  /** Sends one wake-up for each element. Resolves when the broker has confirmed all of them. */
  readonly send: (types: readonly string[]) => Promise<void>;
  /** Starts to receive the wake-ups of one set of types. */
  readonly receive: (inbox: Inbox) => Receiver;
  /** A process that has not listened for this long stops receiving. */
  readonly idleMs: number;
  readonly close: () => Promise<void>;
};

/** The wake-ups of one set of types in this process. */
export type Inbox = {
  readonly types: readonly string[];
  /** The name of the queue or the group: the same in every process that takes these types. */
  readonly name: string;
  readonly unacked: Unacked;
  /** Whether a received text is a type that is listened to here. If not, its message is to be acknowledged. */
  concerns(type: string): boolean;
  /** Logs an interruption; the receiver connects again by itself. */
  interrupted(error: unknown): void;
};

export interface Receiver {
  /** Whether this process would receive a wake-up that is sent now. */
  isLive(): boolean;
  /** Never rejects. */
  close(): Promise<void>;
}

/** While this number of wake-ups is unconfirmed, as with a frozen broker, no more are sent. Processes find the tasks when they poll. */
const UNCONFIRMED_AT_MOST = 1_000;
/** A wake-up older than this is useless: each process has received it, or had no free slot and polls when a slot becomes free. */
export const WAKE_UP_LIVES_MS = 30_000;

export function createBrokerWakeUps(
  transport: WakeUpTransport,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): BrokerWakeUps {
  const concerns = createTypeFilter(log);
  const subscriptions = new Map<string, Subscription>();
  let unconfirmed = 0;
  let isClosed = false;

  async function notify(types: readonly string[]): Promise<void> {
    const sent = wakeUpsFor(types);
    if (sent.length === 0 || isClosed) return;
    if (unconfirmed >= UNCONFIRMED_AT_MOST) throw new Error(`${transport.broker} does not confirm`);
    unconfirmed += sent.length;
    try {
      await transport.send(sent);
    } finally {
      unconfirmed -= sent.length;
    }
  }

  function listen(types: readonly string[], signal: AbortSignal): Promise<WakeUp | null> {
    if (isClosed || signal.aborted) return Promise.resolve(null);
    const key = keyOf(types);
    const subscription = subscriptions.get(key) ?? subscribe(types);
    subscriptions.set(key, subscription);
    return subscription.listen(signal);
  }

  function subscribe(types: readonly string[]): Subscription {
    const name = nameOfSet(transport.name, types);
    return createSubscription({ clock, idleMs: transport.idleMs }, (unacked) =>
      transport.receive({
        types,
        name,
        unacked,
        concerns: (type) => concerns(types, type),
        interrupted: (error) =>
          log.debug("bells_interrupted", { [transport.unit]: name, error: errorText(error) }),
      }),
    );
  }

  return {
    notify,
    listen,
    isLive: (types) => subscriptions.get(keyOf(types))?.isLive() ?? false,
    close: async () => {
      isClosed = true;
      await Promise.all([...subscriptions.values()].map((one) => one.close()));
      await transport.close();
    },
  };
}

type Subscription = ReturnType<typeof createSubscription>;

/** Receives from the first `listen` until `listen` has not been called for `idleMs`, and again from the next call. */
function createSubscription(
  { clock, idleMs }: { readonly clock: Clock; readonly idleMs: number },
  receive: (unacked: Unacked) => Receiver,
) {
  const unacked = createUnacked({ clock, idleMs, onIdle: () => void stopReceiving() });
  let receiver: Receiver | null = null;

  async function stopReceiving(): Promise<void> {
    const stopped = receiver;
    receiver = null;
    unacked.returnAll();
    await stopped?.close();
  }

  return {
    listen: (signal: AbortSignal): Promise<WakeUp | null> => {
      receiver ??= receive(unacked);
      return unacked.listen(signal);
    },
    isLive: (): boolean => receiver?.isLive() ?? false,
    close: (): Promise<void> => {
      unacked.close();
      return stopReceiving();
    },
  };
}

const keyOf = (types: readonly string[]): string => [...types].sort().join();

const READABLE_AT_MOST = 100;

/** The same in every process that takes these types. It lists the types as long as the list is short. */
export function nameOfSet(prefix: string, types: readonly string[]): string {
  const text = keyOf(types);
  if (text.length <= READABLE_AT_MOST) return `${prefix}:${text}`;
  return `${prefix}:${new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 32)}`;
}

/** The number of processes that one commit can wake for a type. Each process claims as many tasks as it has free slots. */
const OF_ONE_TYPE_AT_MOST = 100;

export function wakeUpsFor(types: readonly string[]): string[] {
  const counts = new Map<string, number>();
  return types.filter((type) => {
    const count = counts.get(type) ?? 0;
    counts.set(type, count + 1);
    return count < OF_ONE_TYPE_AT_MOST;
  });
}

const LOGGED_EVERY = 1_000;

/** Whether a message is a wake-up for one of these types. Messages that are no wake-ups are counted and logged. */
export function createTypeFilter(log: Log): (types: readonly string[], type: string) => boolean {
  let malformed = 0;
  return (types, type) => {
    if (typeFault(type) === null) return types.some((pattern) => takesType(pattern, type));
    if (malformed++ % LOGGED_EVERY === 0)
      log.warn("malformed_bell", { bell: type.slice(0, 100), count: malformed });
    return false;
  };
}
