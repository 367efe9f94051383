/**
 * The processes on the store. Each writes a document about itself and reads those of all others every few seconds, so that work which one
 * process does for all is divided among them, and a commit wakes only some of them. There is no leader: two processes that
 * know different processes for a while do some of the work twice, or leave it to the next round.
 */
import type { Clock } from "../core/clock.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createLoop } from "../lib/loop.ts";
import type { Service } from "../lib/service.ts";
import type { Ask, TaskStore } from "../store/store.ts";
import { documentsUnder } from "./documents.ts";

/** What a process has written about itself. */
export type KnownProcess = {
  readonly name: string;
  /** The types that its waiting claims took; none if no claim waited. */
  readonly types: readonly string[];
  /** For how many tasks they asked. */
  readonly free: number;
};

export interface ProcessRegistry {
  /** The name of this process. */
  readonly name: string;
  /** All processes that are known, in order of name; without this one until it has read its own document. */
  known(): readonly KnownProcess[];
  /**
   * Whether this process does the work of this second (epoch milliseconds of the store's clock), which is shared by all and
   * done by this many at once. The turns go round, so a process that has died delays the work by a second. A process that is not
   * known yet does it always.
   */
  isOnTurn(now: number, atOnce: number): boolean;
  readonly service: Service;
}

const ROUND_MS = 5_000;
/** Processes that start together know each other after this time. */
const SECOND_ROUND_MS = 1_000;
const WRITE_EVERY_MS = 10_000;
/** A process that has ended without a stop is forgotten after this time. */
const KEPT_MS = 25_000;
const TURN_MS = 1_000;
const PREFIX = "process/";

export function createProcessRegistry(setup: {
  readonly store: Pick<TaskStore, "writeDocuments" | "readDocuments">;
  readonly name: string;
  readonly now: () => number;
  readonly waiting: () => Iterable<Pick<Ask, "types" | "max">>;
  readonly clock: Clock;
  readonly log: Log;
}): ProcessRegistry {
  const { store, name, now, clock, log } = setup;
  let processes: readonly KnownProcess[] = [];
  let written: KnownProcess | null = null;
  let writtenAt = 0;

  function ownState(): KnownProcess {
    const asks = [...setup.waiting()];
    const types = [...new Set(asks.flatMap((ask) => ask.types))].sort();
    return { name, types, free: asks.reduce((sum, { max }) => sum + max, 0) };
  }

  /** The exact number of free slots changes all the time; that there are none any more is written at once. */
  const isNews = (state: KnownProcess): boolean =>
    written === null || state.types.join() !== written.types.join() || state.free > 0 !== written.free > 0;

  async function write(state: KnownProcess, at: number): Promise<void> {
    const value = JSON.stringify({ types: state.types, free: state.free });
    await store.writeDocuments([{ name: PREFIX + name, value, until: at + KEPT_MS }], at);
    written = state;
    writtenAt = clock.monotonic();
  }

  async function round(): Promise<number> {
    const at = now();
    const state = ownState();
    const isFirst = written === null;
    if (isNews(state) || clock.monotonic() - writtenAt >= WRITE_EVERY_MS) await write(state, at);
    processes = await Array.fromAsync(documentsUnder(store, PREFIX, at), ({ name: document, value }) => ({
      name: document.slice(PREFIX.length),
      ...(JSON.parse(value) as Omit<KnownProcess, "name">), // as `write` has written it
    }));
    return isFirst ? SECOND_ROUND_MS : ROUND_MS;
  }

  const loop = createLoop({
    after: clock.after,
    round,
    onError: (error) => {
      log.debug("processes_failed", { error: errorText(error) });
      return ROUND_MS;
    },
  });

  function isOnTurn(at: number, atOnce: number): boolean {
    const count = processes.length;
    const rank = processes.findIndex((process) => process.name === name);
    if (rank < 0 || count <= atOnce) return true;
    const first = (Math.floor(at / TURN_MS) * atOnce) % count;
    return (rank - first + count) % count < atOnce;
  }

  return {
    name,
    known: () => processes,
    isOnTurn,
    service: {
      name: "process registry",
      start: loop.start,
      stop: async () => {
        await loop.stop();
        if (written === null) return;
        await store
          .writeDocuments([{ name: PREFIX + name, value: null, until: 0 }], now())
          .catch((error: unknown) => log.debug("processes_failed", { error: errorText(error) }));
      },
    },
  };
}
