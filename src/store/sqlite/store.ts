/**
 * Tasks in one file, held by one process. One thread of its own does all work on the file, so that the disk, a search or a long list never
 * blocks the server. This module turns calls into messages to that thread.
 */

import { isMadeDue } from "../../core/due.ts";
import { TaskError } from "../../core/error.ts";
import { entersLife } from "../../core/lifecycle.ts";
import { changedFields } from "../../core/parts.ts";
import type { Parts, Task, TaskHead, TaskId, TaskParts } from "../../core/task.ts";
import { errorText } from "../../lib/log.ts";
import { createLoop } from "../../lib/loop.ts";
import { isCounted } from "../filter.ts";
import type { MigrationPlan } from "../migrations.ts";
import type { StoreSetup } from "../setup.ts";
import type { Step, TaskFilter, TaskPage, TaskQuery, TaskStore } from "../store.ts";
import { sumTypeCounts } from "../type-counts.ts";
import type { Counted, SentStep } from "./calls.ts";
import { migrateDatabase, pathOf } from "./database.ts";
import { startThread } from "./thread.ts";

/** The time between two deletions of rows that are not needed any more, and the pause while there are others. */
const CLEAN_UP_EVERY_MS = 1_000;
const CLEAN_UP_AGAIN_MS = 10;

/** Opens the file that STORE_URL names, creates it if there is none, and holds it until `close`. */
export async function openSqliteStore(setup: StoreSetup, start = startThread): Promise<TaskStore> {
  const { clock, log } = setup;
  const path = pathOf(setup.url);
  const watchers = new Set<(due: readonly string[]) => void>();

  const thread = start({
    clock,
    onCommit: (due) => {
      for (const notify of watchers) notify(due);
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

  const cleaning = createLoop({
    after: clock.after,
    round: async () => ((await thread.call("cleanUp", clock.now())) ? CLEAN_UP_AGAIN_MS : CLEAN_UP_EVERY_MS),
    onError: (error) => {
      if (thread.fault() === null) log.warn("sqlite_tend_failed", { path, error: errorText(error) });
      else void cleaning.stop();
      return CLEAN_UP_EVERY_MS;
    },
  });
  cleaning.start();

  async function count(filter: TaskFilter): Promise<number> {
    if (isCounted(filter)) return sumTypeCounts(await thread.call("typeCounts"), filter);
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
    watchers.clear();
    await cleaning.stop();
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
    typeCounts: () => thread.call("typeCounts"),
    positionOf: (id, now, atMost) => thread.call("positionOf", id, now, atMost),
    claim: (asks, terms) => thread.call("claim", asks, terms),
    extend: (beats, now) => thread.call("extend", beats, now),
    replace: (steps) => thread.call("replace", steps.map(sentStepOf)),
    remove: (refs) => thread.call("remove", refs, clock.now()),
    restore: (records) => thread.call("restore", records, clock.now()),
    readLog: (id, after) => thread.call("readLog", id, after),
    changes: (after, limit) => thread.call("changes", after, limit),
    writeDocuments: (writes, now) => thread.call("writeDocuments", writes, now),
    readDocuments: (prefix, now, after) => thread.call("readDocuments", prefix, now, after ?? ""),
    watch: (notify) => {
      watchers.add(notify);
      return () => watchers.delete(notify);
    },
    now,
    // One process has the file, and its calls cost little.
    look: async () => ({ now: await now(), isDue: true, isExpired: true, hasDocuments: true }),
    close: () => {
      closing ??= shut();
      return closing;
    },
  };
}

/** The migrations that the file's schema lacks; with `apply` they are carried out. */
export const migrateSqlite = async (setup: StoreSetup, apply: boolean): Promise<MigrationPlan> =>
  migrateDatabase(pathOf(setup.url), apply);

const sentStepOf = ({ from, to, once }: Step): SentStep => ({
  id: from.id,
  version: from.version,
  until: from.lease?.until ?? null,
  changed: differing(from, to),
  claimsKey: entersLife(from, to) ? to.key : null,
  type: to.type,
  was: from.status,
  status: to.status,
  at: to.updatedAt,
  due: isMadeDue(to) ? to.type : null,
  ...(once === undefined ? {} : { once }),
});

/** The fields in which the two states differ, as `to` has them. */
const differing = (from: Partial<Task>, to: Partial<Task>): Partial<Task> =>
  Object.fromEntries(changedFields(from, to).map((name) => [name, to[name]]));
