/** Many processes on one store: no task is claimed by two workers, and a reader of the change log misses nothing. */
import { expect } from "bun:test";
import { create, TYPE_DEFAULTS } from "../../src/core/lifecycle.ts";
import type { TaskId } from "../../src/core/task.ts";
import type { Change, Position, TaskStore } from "../../src/store/store.ts";
import { type Claim, faultsOfClaims, faultsOfReading, type Seen } from "./checkers.ts";
import type { ClaimerOrders } from "./claimer.ts";
import { withStore } from "./history.ts";
import { corner, SHARED } from "./places.ts";
import { runPrograms } from "./program.ts";
import { isFull, report, scale, testStores } from "./scale.ts";
import type { WriterOrders } from "./writer.ts";

const PROCESSES = 4;
const CLAIMERS = 64;

async function fill(store: TaskStore, count: number): Promise<TaskId[]> {
  const ids: TaskId[] = [];
  while (ids.length < count) {
    const now = await store.now();
    const draft = () => create({ name: "to be claimed" }, TYPE_DEFAULTS, now);
    const drafts = Array.from({ length: Math.min(1_000, count - ids.length) }, draft);
    const [answer] = await store.insert([{ drafts, idempotency: null }], now);
    if (answer?.kind === "created") ids.push(...answer.tasks.map(({ id }) => id));
  }
  return ids;
}

testStores(
  SHARED,
  `${CLAIMERS} claimers in ${PROCESSES} processes get each task once, and again only after a release`,
  async (name) => {
    for (const releases of isFull ? [0, 0.3] : [0.3]) {
      const place = corner(name);
      const ids = await withStore(place.storeUrl, (store) => fill(store, scale(600, 10_000)));
      const orders = Array.from({ length: PROCESSES }, (_, seed): ClaimerOrders => {
        return { storeUrl: place.storeUrl, seed, claimers: CLAIMERS / PROCESSES, releases };
      });
      const from = performance.now();
      const given = await runPrograms<Claim>("claimer.ts", orders);
      expect(faultsOfClaims(given, ids)).toEqual([]);
      const ms = Math.round(performance.now() - from);
      report(`a crowd of claimers, ${name}`, { tasks: ids.length, claims: given.length, ms });
      await place.remove();
    }
  },
);

/** Reads the change log until the writers have ended and no change is left. */
async function readChanges(
  store: TaskStore,
  from: Position,
  { writersEnded }: { readonly writersEnded: () => boolean },
): Promise<Change[]> {
  const read: Change[] = [];
  for (let position = from; ; ) {
    const isLast = writersEnded(); // before the read, which then contains everything that they wrote
    const page = await store.changes(position, 1_000);
    if (page.kind === "gone") throw new Error("the change log no longer has the position");
    position = page.position;
    read.push(...page.changes);
    if (isLast && page.changes.length === 0) return read;
  }
}

testStores(
  SHARED,
  "a reader beside writing processes misses no commit and reads none twice",
  async (name) => {
    const place = corner(name);
    const orders = Array.from({ length: scale(5, 16) }, (_, seed): WriterOrders => {
      return { storeUrl: place.storeUrl, seed, calls: scale(160, 1_000) };
    });
    const [written, read] = await withStore(place.storeUrl, async (store) => {
      const { position } = await store.changes(null, 1);
      let ended = false;
      const writing = runPrograms<Seen>("writer.ts", orders).finally(() => {
        ended = true;
      });
      return Promise.all([writing, readChanges(store, position, { writersEnded: () => ended })]);
    });
    expect(written.length).toBeGreaterThan(orders.length * 100);
    expect(faultsOfReading(written, read.map(seenOf))).toEqual([]);
    expect(read.map(({ rev }) => rev)).toEqual(read.map(({ rev }) => rev).toSorted((a, b) => a - b));
    report(`a reader beside writers, ${name}`, { writers: orders.length, changes: read.length });
    await place.remove();
  },
);

function seenOf({ id, version, kind }: Change): Seen {
  if (kind === "progress") throw new Error(`unexpected progress of task ${id}`);
  return { id, version, kind };
}
