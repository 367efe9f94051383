/** Trouble while several writes of outcomes and a claim are in flight: each attempt ends once, and no outcome is written twice. */
import { afterAll, expect } from "bun:test";
import { create, TYPE_DEFAULTS } from "../../src/core/lifecycle.ts";
import type { Task } from "../../src/core/task.ts";
import type { TaskPage, TaskQuery, TaskStore } from "../../src/store/store.ts";
import { eventually } from "../support/eventually.ts";
import { killLeftovers } from "../support/server-process.ts";
import { allEnded, createMember, type Member, readiness } from "./cluster.ts";
import { withStore } from "./history.ts";
import { type ServedPlace, SHARED, servedPlace } from "./places.ts";
import { report, scale, testStores } from "./scale.ts";

/** Enough slots for three writes of outcomes in flight (OUTCOME_LIMITS), and tasks that take no time. */
const SETTINGS = {
  ...{ CONCURRENCY: "800", SIMULATE_MIN: "0s", SIMULATE_MAX: "0s" },
  ...{ LEASE: "1s", LOG_LEVEL: "info" },
};
const CREATED_AT_ONCE = 500;
/** Ended tasks at the time of the trouble. */
const ENOUGH = scale(1_000, 10_000);
/** Rounds of trouble: in each it comes at another moment. */
const ROUNDS = scale(1, 6);

afterAll(killLeftovers);

type Trouble = (worker: Member, place: ServedPlace) => Promise<void>;

const TROUBLES: Readonly<Record<string, Trouble>> = {
  "a worker process that is killed": async (worker) => {
    await worker.kill();
    await worker.start();
  },
  "a worker process that is frozen until another one has ended its tasks": async (worker, { storeUrl }) => {
    worker.freeze();
    const other = createMember({ ...SETTINGS, STORE_URL: storeUrl });
    await other.start();
    await allEnded(other.url);
    worker.thaw();
    await readiness(worker.url, true);
    expect(await other.stop()).toBe(0);
  },
  "a store that is killed": async (worker, place) => {
    await place.end("kill");
    await fails(worker);
    await place.start();
  },
  "a store that is frozen until calls fail": async (worker, place) => {
    await place.freeze();
    await fails(worker);
    await place.thaw();
  },
};

/** Resolves when claims or outcomes of the worker have failed. */
const fails = (worker: Member): Promise<unknown> =>
  eventually(
    () => worker.events().filter(({ event }) => event === "settle_failed" || event === "claim_failed").length,
    (count) => count > 0,
  );

for (const [trouble, cause] of Object.entries(TROUBLES)) {
  testStores(SHARED, `${trouble} with several writes in flight ends each attempt once`, async (name) => {
    const place = await servedPlace(name);
    const worker = createMember({ ...SETTINGS, STORE_URL: place.storeUrl });
    await worker.start();
    for (let round = 1; round <= ROUNDS; round++) {
      const filling = new AbortController();
      const filled = fill(place.storeUrl, filling.signal);
      await withStore(place.storeUrl, (store) =>
        eventually(
          () => store.count({ statuses: ["done"] }),
          (done) => done >= round * ENOUGH,
        ),
      );
      filling.abort();
      await cause(worker, place);
      await filled;
    }
    await allEnded(worker.url);
    const tasks = await withStore(place.storeUrl, listAll);
    expect(tasks.flatMap(faultsOf)).toEqual([]);
    expect(await worker.stop()).toBe(0);
    const losses = tasks.reduce((sum, { attempts }) => sum + attempts.length - 1, 0);
    report(`${trouble}, ${name}`, { tasks: tasks.length, losses });
    await place.remove();
  });
}

/** Creates tasks until the signal aborts or the store fails. */
const fill = (storeUrl: string, signal: AbortSignal): Promise<void> =>
  withStore(storeUrl, async (store) => {
    while (!signal.aborted) {
      const now = await store.now();
      const drafts = Array.from({ length: CREATED_AT_ONCE }, () => create({ name: "n" }, TYPE_DEFAULTS, now));
      await store.insert([{ drafts, idempotency: null }], now);
    }
  }).catch((error: unknown) => {
    if (!signal.aborted) throw error;
  });

async function listAll(store: TaskStore): Promise<Task[]> {
  const tasks: Task[] = [];
  for (let after: TaskQuery["after"] = null; ; ) {
    const page: TaskPage<Task> = await store.list({
      filter: {},
      sort: "id",
      after,
      limit: 1_000,
      parts: "whole",
    });
    tasks.push(...page.tasks);
    if (page.next === null) return tasks;
    after = page.next;
  }
}

/**
 * A claim and the end of an attempt each write one version, and every attempt has ended once. A lost lease ends an attempt, too; an attempt
 * that was lost three times would fail the task.
 */
function faultsOf({ id, status, version, claims, attempts }: Task): string[] {
  const done = attempts.filter(({ outcome }) => outcome === "done").length;
  const others = attempts.filter(({ outcome }) => !["done", "lost", "released"].includes(outcome)).length;
  const expected = 1 + claims + attempts.length;
  return [
    status === "done" ? "" : `task ${id} is ${status}`,
    done === 1 && attempts.at(-1)?.outcome === "done" ? "" : `task ${id} has ${done} outcomes`,
    others === 0 ? "" : `task ${id} has ${others} attempts with other outcomes`,
    version === expected && claims === attempts.length
      ? ""
      : `task ${id} has version ${version} after ${claims} claims`,
  ].filter((fault) => fault !== "");
}
