/**
 * The known workers of all processes on the store: their types, their free slots, and whether they were drained. Each process writes
 * the workers that have called it every few seconds, in documents that expire by themselves.
 */
import type { Clock } from "../core/clock.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createLoop } from "../lib/loop.ts";
import type { Service } from "../lib/service.ts";
import type { Ask, TaskStore } from "../store/store.ts";
import { documentsUnder } from "./documents.ts";

export type KnownWorker = {
  readonly name: string;
  readonly types: readonly string[];
  /** The number of tasks for which it asked in its last claim. */
  readonly free: number;
  /** How many tasks it runs at the same time; null if it has not reported that. */
  readonly slots: number | null;
  /** Epoch milliseconds by the store's clock. */
  readonly seenAt: number;
  readonly isDraining: boolean;
};

type WorkerAsk = Pick<Ask, "worker" | "types" | "max" | "slots">;

export interface WorkerRegistry {
  /** A worker claims tasks. */
  claimed(ask: WorkerAsk): void;
  /** A known worker has called. */
  seen(worker: string): void;
  /** Whether the worker should finish its tasks and take no more; at most a second out of date. */
  isDraining(worker: string): Promise<boolean>;
  /** Tells the worker to take no more tasks; `isDraining` false ends that. */
  drain(worker: string, isDraining: boolean): Promise<void>;
  /** The store was asked at this moment, monotonic, and no worker is drained. */
  hadNoDrains(at: number): void;
  /** All known workers, by name. */
  list(): Promise<KnownWorker[]>;
  readonly service: Service;
}

/** The names of the documents of drained workers begin so. */
export const DRAINS = "drain/";
const WRITE_EVERY_MS = 5_000;
/** A worker that has only been seen again is written this often. */
const WRITE_SEEN_EVERY_MS = 20_000;
const SEEN_FOR_MS = 60_000;
/** Long enough for the longest work to end, short enough that a name may be used again the next day. */
const DRAINED_FOR_MS = 12 * 3_600_000;
const DRAINS_READ_EVERY_MS = 1_000;
/** The number of types in each document. */
const WRITTEN_AT_ONCE = 500;
/** The highest number of workers in this process's memory. Further workers get tasks all the same, and are not listed. */
const REMEMBERED_AT_MOST = 10_000;

type Written = Pick<KnownWorker, "name" | "types" | "free" | "slots" | "seenAt">;
type Worker = Omit<Written, "name" | "seenAt"> & { seenAt: number; written: Written | null };

export function createWorkerRegistry(setup: {
  readonly store: Pick<TaskStore, "writeDocuments" | "readDocuments">;
  readonly now: () => number;
  /** The waiting claims: their workers are alive, although they make no calls. */
  readonly waiting: () => Iterable<WorkerAsk>;
  readonly clock: Clock;
  readonly log: Log;
}): WorkerRegistry {
  const { store, now, clock, log } = setup;
  const workers = new Map<string, Worker>();
  /** The names of the documents of drained workers. */
  let drains: ReadonlySet<string> = new Set();
  let drainsReadAt = Number.NEGATIVE_INFINITY;
  let drainedAt = Number.NEGATIVE_INFINITY; // the latest drain by this process, monotonic

  function claimed({ worker, types, max, slots }: WorkerAsk): void {
    const known = workers.get(worker);
    if (known === undefined && workers.size >= REMEMBERED_AT_MOST) return;
    const written = known?.written ?? null;
    workers.set(worker, { types, free: max, slots: slots ?? null, seenAt: now(), written });
  }

  function seen(worker: string): void {
    const known = workers.get(worker);
    if (known === undefined) return;
    known.seenAt = now();
  }

  /** @param seenEveryMs how old the written time may be at which a worker was seen */
  async function write(seenEveryMs: number): Promise<number> {
    for (const ask of setup.waiting()) claimed(ask);
    const at = now();
    const fresh = [...workers].filter(([, worker]) => isNews(worker, seenEveryMs));
    for (const [name, { seenAt }] of workers) if (seenAt < at - SEEN_FOR_MS) workers.delete(name);
    if (fresh.length === 0) return WRITE_EVERY_MS;
    for (let from = 0; from < fresh.length; from += WRITTEN_AT_ONCE) {
      await writeSome(fresh.slice(from, from + WRITTEN_AT_ONCE), at);
    }
    return WRITE_EVERY_MS;
  }

  async function writeSome(fresh: readonly (readonly [string, Worker])[], at: number): Promise<void> {
    const written = fresh.map(
      ([name, { types, free, slots, seenAt }]): Written => ({ name, types, free, slots, seenAt }),
    );
    const documents = written.map((worker) => ({
      name: noteOf("worker", worker.name),
      value: JSON.stringify(worker),
      until: worker.seenAt + SEEN_FOR_MS,
    }));
    await store.writeDocuments(documents, at);
    for (const worker of written) {
      const known = workers.get(worker.name);
      if (known !== undefined) known.written = worker;
    }
  }

  const writing = createLoop({
    after: clock.after,
    round: () => write(WRITE_SEEN_EVERY_MS),
    onError: (error) => {
      log.debug("roster_failed", { error: errorText(error) });
      return WRITE_EVERY_MS;
    },
  });

  async function readDrains(): Promise<ReadonlySet<string>> {
    if (clock.monotonic() - drainsReadAt < DRAINS_READ_EVERY_MS) return drains;
    drainsReadAt = clock.monotonic();
    try {
      drains = new Set(await Array.fromAsync(documentsUnder(store, DRAINS, now()), ({ name }) => name));
    } catch (error) {
      log.debug("drains_failed", { error: errorText(error) }); // the known drains stay: no reason to refuse a heartbeat
    }
    return drains;
  }

  async function drain(worker: string, isDraining: boolean): Promise<void> {
    const at = now();
    const value = isDraining ? "1" : null;
    const name = noteOf("drain", worker);
    await store.writeDocuments([{ name, value, until: at + DRAINED_FOR_MS }], at);
    drainedAt = clock.monotonic();
    drains = new Set([...drains].filter((drained) => drained !== name).concat(isDraining ? [name] : []));
  }

  async function list(): Promise<KnownWorker[]> {
    await write(1); // the latest workers of this process
    const draining = await readDrains();
    const known = await Array.fromAsync(
      documentsUnder(store, "worker/", now()),
      ({ name: document, value }) => {
        // The value as `writeSome` wrote it. Version 0.1.0 wrote the worker's name only in the name of the document.
        const { name = nameOf(document), ...written } = JSON.parse(value) as Partial<Written> &
          Omit<Written, "name">;
        return { name, ...written, isDraining: draining.has(noteOf("drain", name)) };
      },
    );
    return known.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  return {
    claimed,
    seen,
    isDraining: async (worker) => (await readDrains()).has(noteOf("drain", worker)),
    drain,
    hadNoDrains: (at) => {
      if (at <= drainedAt) return;
      drains = new Set();
      drainsReadAt = at;
    },
    list,
    service: { name: "worker registry", start: writing.start, stop: writing.stop },
  };
}

function isNews({ written, types, free, slots, seenAt }: Worker, seenEveryMs: number): boolean {
  if (written === null || seenAt >= written.seenAt + seenEveryMs) return true;
  return written.types.join() !== types.join() || written.free !== free || written.slots !== slots;
}

/**
 * The name of a document about a worker, unique for each worker. Names of documents are ASCII and of a limited length. A worker's name
 * may be any text of 255 characters, which are up to 3,060 when encoded, so a long name is replaced by its hash. No encoded name
 * contains the character before a hash.
 */
function noteOf(kind: string, worker: string): string {
  const encoded = encodeURIComponent(worker);
  if (encoded.length <= NAME_LENGTH) return `${kind}/${encoded}`;
  return `${kind}/#${new Bun.CryptoHasher("sha256").update(worker).digest("hex")}`;
}

const NAME_LENGTH = 240;

function nameOf(document: string): string {
  const encoded = document.slice(document.indexOf("/") + 1);
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded; // version 0.1.0 cut it within an encoded character
  }
}
