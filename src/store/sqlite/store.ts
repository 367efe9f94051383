/**
 * Tasks in one file, held by one process. Everything that touches it is done by one thread of its own, so that the disk, a
 * search or a long list never holds up the server; here calls become messages and answers become tasks again.
 */

import { isClaimable } from "../../core/due.ts";
import { TaskError } from "../../core/error.ts";
import { entersLife } from "../../core/lifecycle.ts";
import type { Parts, Task, TaskHead, TaskId, TaskParts } from "../../core/task.ts";
import { errorText } from "../../lib/log.ts";
import { createLoop } from "../../lib/loop.ts";
import { countByCensus } from "../census.ts";
import { isCounted } from "../filter.ts";
import type { MigrationPlan } from "../migrations.ts";
import type { StoreSetup } from "../open.ts";
import type { Step, TaskFilter, TaskPage, TaskQuery, TaskStore } from "../store.ts";
import type { Counted, Move } from "./calls.ts";
import { migrateDatabase, pathOf } from "./database.ts";
import { startThread } from "./thread.ts";

/** How often what nobody needs any more is cleared away, and the pause while there is more of it. */
const TEND_EVERY_MS = 1_000;
const TEND_AGAIN_MS = 10;

/** Opens the file that STORE_URL names, makes it where there is none, and holds it until it is closed. */
export async function openSqliteStore(setup: StoreSetup, start = startThread): Promise<TaskStore> {
  const { clock, log } = setup;
  const path = pathOf(setup.url);
  const rings = new Set<(due: readonly string[]) => void>();

  const thread = start({
    clock,
    onCommit: (due) => {
      for (const ring of rings) ring(due);
    },
    onComplaint: (error) => log.warn("sqlite_checkpoint_failed", { path, error }),
    onDeath: (error) => log.error("sqlite_thread_died", { path, error }),
  });

  try {
    await thread.call("open", { path, epoch: setup.nonce(), holder: setup.worker, now: clock.now() });
  } catch (error) {
    thread.stop();
    throw error;
  }

  const tending = createLoop({
    after: clock.after,
    round: async () => ((await thread.call("tend", clock.now())) ? TEND_AGAIN_MS : TEND_EVERY_MS),
    onError: (error) => {
      if (thread.fault() === null) log.warn("sqlite_tend_failed", { path, error: errorText(error) });
      else void tending.stop();
      return TEND_EVERY_MS;
    },
  });
  tending.start();

  async function count(filter: TaskFilter): Promise<number> {
    if (isCounted(filter)) return countByCensus(await thread.call("census"), filter);
    let total = 0;
    let after: TaskId | null = 0;
    while (after !== null) {
      const counted: Counted = await thread.call("count", filter, after);
      total += counted.count;
      after = counted.next;
    }
    return total;
  }

  async function now(): Promise<number> {
    const fault = thread.fault();
    if (fault !== null) throw new TaskError("store_unavailable", fault);
    return clock.now();
  }

  async function shut(): Promise<void> {
    rings.clear();
    await tending.stop();
    await thread.call("close").catch((error: unknown) => {
      log.warn("sqlite_close_failed", { path, error: errorText(error) });
    });
    thread.stop();
  }

  let closing: Promise<void> | null = null;

  return {
    durability: `SQLite at ${path}: every answered write is on the disk`,
    insert: (requests, now) => thread.call("insert", requests, now),
    // The thread answers with the parts that the call names.
    get: async <P extends Parts>(ids: readonly TaskId[], parts?: P) =>
      (await thread.call("get", ids, parts ?? "whole")) as (TaskParts[P] | null)[],
    list: async <P extends Parts>(query: TaskQuery<P>) =>
      (await thread.call("list", query)) as TaskPage<TaskHead & TaskParts[P]>,
    count,
    census: () => thread.call("census"),
    ahead: (id, now, atMost) => thread.call("ahead", id, now, atMost),
    claim: (asks, terms) => thread.call("claim", asks, terms),
    extend: (beats, now) => thread.call("extend", beats, now),
    replace: (steps) => thread.call("replace", steps.map(moveOf)),
    remove: (refs) => thread.call("remove", refs, clock.now()),
    restore: (records) => thread.call("restore", records, clock.now()),
    readLog: (id, after) => thread.call("readLog", id, after),
    changes: (after, limit) => thread.call("changes", after, limit),
    writeNotes: (writes, now) => thread.call("writeNotes", writes, now),
    readNotes: (prefix, now, after) => thread.call("readNotes", prefix, now, after ?? ""),
    watch: (ring) => {
      rings.add(ring);
      return () => rings.delete(ring);
    },
    now,
    close: () => {
      closing ??= shut();
      return closing;
    },
  };
}

/** Says what the file's schema lacks and, with `apply`, brings it. */
export const migrateSqlite = async (setup: StoreSetup, apply: boolean): Promise<MigrationPlan> =>
  migrateDatabase(pathOf(setup.url), apply);

const moveOf = ({ from, to, once }: Step): Move => ({
  id: from.id,
  version: from.version,
  until: from.lease?.until ?? null,
  changed: differing(from, to),
  claimsKey: entersLife(from, to) ? to.key : null,
  type: to.type,
  was: from.status,
  status: to.status,
  at: to.updatedAt,
  due: isClaimable(to, to.updatedAt) ? to.type : null,
  ...(once === undefined ? {} : { once }),
});

/** The fields that the rule has made anew; what it has left alone is the same value. What `to` does not have is not written. */
function differing(from: Partial<Task>, to: Partial<Task>): Partial<Task> {
  const names = Object.keys(to) as (keyof Task)[]; // a task has no others
  return Object.fromEntries(names.filter((name) => to[name] !== from[name]).map((name) => [name, to[name]]));
}
