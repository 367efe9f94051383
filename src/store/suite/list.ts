import { expect } from "bun:test";
import { isFull } from "../../../test/chaos/scale.ts";
import { expiresAt, isOverlong } from "../../core/lease.ts";
import { cancel, settle } from "../../core/lifecycle.ts";
import type { Outcome } from "../../core/outcome.ts";
import { matchesSearch, parseSearch } from "../../core/search.ts";
import {
  isEnded,
  isRunning,
  type Labels,
  labelTexts,
  STATUSES,
  type Task,
  takesType,
} from "../../core/task.ts";
import type { Sort, TaskFilter } from "../store.ts";
import {
  ascending,
  DONE,
  type Exam,
  type Examinee,
  FAILED,
  HOUR_MS,
  idsOf,
  nth,
  RELEASED,
  walk,
} from "./examinee.ts";

const SORTS: readonly Sort[] = ["id", "-id", "finished_at", "-finished_at"];
const TYPES = ["simulate", "video.encode", "video.thumb", "videos", "mail_x.send", "mailbx.send"];
const SIZE = 42;

/** Forty-two tasks in all statuses, with different types, tags, labels and leases; several end in the same millisecond. */
async function populate(x: Examinee): Promise<Task[]> {
  const pending = await x.addAll(
    Array.from({ length: SIZE }, (_, n) => ({
      name: n % 4 === 0 ? `Рыба ${n}` : `task ${n}`,
      type: nth(TYPES, n % TYPES.length),
      tags: ["even", "third", "fifth 🌍"].filter((_, at) => n % (at === 2 ? 5 : at + 2) === 0),
      labels: labelsOf(n),
      payload: n % 3 === 0 ? `{"user":{"name":"Ann ${n}"}}` : null,
      ...(n % 7 === 0 ? { runAt: x.t + HOUR_MS } : {}),
    })),
  );
  const asks = [10_000, 20_000, 60_000].map((leaseMs, n) => ({
    worker: `w${n}`,
    types: ["*"],
    max: 14,
    leaseMs,
  }));
  const running = (await x.store.claim(asks, { now: x.t, nonce: "n1" })).flat();
  const asked = running.map((task) => (CANCELLED.has(task.id % 7) ? cancel(task, x.t - 15_000) : task));
  await writeAll(x, running, asked);
  await writeAll(
    x,
    asked,
    asked.map((task) => settledAs(task, OUTCOMES[task.id % 7], x.t + 1_000 * (task.id % 4))),
  );
  return Promise.all(pending.map(({ id }) => x.see(id)));
}

const labelsOf = (n: number): Labels => ({
  ...(n % 2 === 0 ? { region: "eu" } : {}),
  ...(n % 3 === 0 ? { "app.kubernetes.io/name": "a:b, 😀", empty: "" } : {}),
});

/** The state of each task of the population, by its id modulo seven: 0 is not due yet, 1 and 6 keep running. */
const CANCELLED: ReadonlySet<number> = new Set([4, 6]);
const OUTCOMES: Readonly<Record<number, Outcome>> = { 2: DONE, 3: FAILED, 4: RELEASED, 5: RELEASED };

const settledAs = (task: Task, outcome: Outcome | undefined, at: number): Task =>
  outcome === undefined ? task : settle(task, { token: task.token ?? "", outcome }, at, 0);

async function writeAll({ store }: Examinee, from: readonly Task[], to: readonly Task[]): Promise<void> {
  const steps = from.flatMap((task, n) => (task === to[n] ? [] : [{ from: task, to: nth(to, n) }]));
  expect(await store.replace(steps)).toEqual(steps.map(() => "ok"));
}

/** The meaning of a filter, in a second and simple implementation. */
function takes(filter: TaskFilter, task: Task): boolean {
  const { statuses, types, tags, labels, search, finishedBefore, expiredAt, overlongAt } = filter;
  return (
    (statuses === undefined || statuses.includes(task.status)) &&
    (types === undefined || types.some((pattern) => takesType(pattern, task.type))) &&
    (tags === undefined || tags.every((tag) => task.tags.includes(tag))) &&
    (labels === undefined || labels.every((label) => labelTexts(task.labels).includes(label))) &&
    (search === undefined || matchesSearch(task, search)) &&
    (finishedBefore === undefined || (task.finishedAt !== null && task.finishedAt < finishedBefore)) &&
    (expiredAt === undefined || (isRunning(task) && expiresAt(task) <= expiredAt)) &&
    (overlongAt === undefined || (isRunning(task) && isOverlong(task, overlongAt)))
  );
}

function sorted(tasks: readonly Task[], sort: Sort): Task[] {
  if (sort === "id") return tasks.toSorted((a, b) => a.id - b.id);
  if (sort === "-id") return tasks.toSorted((a, b) => b.id - a.id);
  const ended = tasks.filter(isEnded).toSorted((a, b) => a.finishedAt - b.finishedAt || a.id - b.id);
  return sort === "finished_at" ? ended : ended.toReversed();
}

const FILTERS: Record<string, (t: number) => TaskFilter> = {
  everything: () => ({}),
  "pending tasks": () => ({ statuses: ["pending"] }),
  "running tasks": () => ({ statuses: ["running"] }),
  "done tasks": () => ({ statuses: ["done"] }),
  "failed tasks": () => ({ statuses: ["failed"] }),
  "cancelled tasks": () => ({ statuses: ["cancelled"] }),
  "tasks of any of several statuses": () => ({ statuses: ["pending", "failed", "done"] }),
  "tasks of all statuses": () => ({ statuses: STATUSES }),
  "tasks of a type": () => ({ types: ["video.encode"] }),
  "tasks of a prefix, but not of the type without the dot": () => ({ types: ["video.*"] }),
  "tasks of a prefix with a wildcard of SQL in it": () => ({ types: ["mail_x.*"] }),
  "tasks of every type by a bare star": () => ({ types: ["*"] }),
  "tasks of any of several types and prefixes, each once": () => ({
    types: ["videos", "video.*", "vid*", "none"],
  }),
  "tasks with a tag": () => ({ tags: ["even"] }),
  "tasks that have all of several tags": () => ({ tags: ["even", "fifth 🌍"] }),
  "tasks with any tags, for an empty list of tags": () => ({ tags: [] }),
  "tasks with a label": () => ({ labels: ["region:eu"] }),
  "tasks with a label whose value has a colon": () => ({ labels: ["app.kubernetes.io/name:a:b, 😀"] }),
  "tasks with a label whose value is empty": () => ({ labels: ["empty:"] }),
  "tasks that have all of several labels": () => ({
    labels: ["empty:", "region:eu"],
    statuses: ["pending", "done"],
  }),
  "tasks with any labels, for an empty list of labels": () => ({ labels: [] }),
  "tasks that a word finds": () => ({ search: parseSearch("рыба") }),
  "tasks that a field of the payload finds": () => ({ search: parseSearch("payload.user.name:ann") }),
  "tasks that a search without words finds": () => ({ search: parseSearch("") }),
  "tasks that ended before a time, not at it": (t) => ({ finishedBefore: t + 2_000 }),
  "failed tasks that ended before a time": (t) => ({ statuses: ["failed"], finishedBefore: t + 3_000 }),
  "leases that are over at a time, also exactly at it": (t) => ({ expiredAt: t + 20_000 }),
  "leases of a type that are over": (t) => ({
    expiredAt: t + 20_000,
    types: ["video.*"],
    statuses: ["running"],
  }),
  "a grace of a cancel request that is over, although the lease is not": (t) => ({ expiredAt: t + 15_000 }),
  "leases that end too far ahead because the clock was set back": (t) => ({ overlongAt: t - HOUR_MS }),
  "leases that end too far ahead for their own length": (t) => ({ overlongAt: t - 15_000 }),
  "graces of cancel requests that end too far ahead, although the leases do not": (t) => ({
    overlongAt: t - 50_000,
  }),
  "leases of a type that end too far ahead": (t) => ({ overlongAt: t - HOUR_MS, types: ["video.*"] }),
  "tasks that match all conditions": (t) => ({
    statuses: ["done", "failed"],
    types: ["*"],
    tags: ["even"],
    search: parseSearch("task"),
    finishedBefore: t + 3_001,
  }),
};

const NOTHING: Record<string, (t: number) => TaskFilter> = {
  "a list of no statuses": () => ({ statuses: [] }),
  "a list of no types": () => ({ types: [] }),
  "a type in other case": () => ({ types: ["Video.Encode"] }),
  "a type that only begins like it": () => ({ types: ["video"] }),
  "a label with another value": () => ({ labels: ["region:us"] }),
  "a label in other case": () => ({ labels: ["region:EU"] }),
  "two values of one label": () => ({ labels: ["region:eu", "region:us"] }),
  "the name of a member that every object has": () => ({ labels: ["constructor:function"] }),
  "a tag in other case": () => ({ tags: ["EVEN"] }),
  "a part of a tag": () => ({ tags: ["eve"] }),
  "pending tasks that ended": (t) => ({ statuses: ["pending"], finishedBefore: t + HOUR_MS }),
  "ended tasks with a lease": (t) => ({ statuses: ["done"], expiredAt: t + HOUR_MS }),
  "ended tasks with an overlong lease": (t) => ({ statuses: ["done"], overlongAt: t - HOUR_MS }),
  "leases that end too far ahead, although the clock was not set back": (t) => ({ overlongAt: t + 1_000 }),
  "a time before any lease is over": (t) => ({ expiredAt: t + 9_999 }),
  "a time before any end": (t) => ({ finishedBefore: t }),
};

/** In a usual run, pages of one task are read for short lists only: a long list needs forty calls in each of four orders. */
const limitsFor = (count: number): readonly number[] => {
  if (isFull) return [1, 5, 100];
  return [count <= 10 ? 1 : 7, 100];
};

export function examineList(exam: Exam): void {
  exam("every filter is listed in every order and page size", async (x) => {
    const population = await populate(x);
    for (const [what, filterAt] of Object.entries(FILTERS)) {
      const filter = filterAt(x.t);
      const expected = population.filter((task) => takes(filter, task));
      expect([what, expected.length]).not.toEqual([what, 0]);
      const walks = SORTS.flatMap((sort) =>
        limitsFor(expected.length).map((limit) => ({ what, sort, limit })),
      );
      const found = walks.map(async (each) => ({ ...each, tasks: await walk(x.store, { ...each, filter }) }));
      const wanted = walks.map((each) => ({ ...each, tasks: sorted(expected, each.sort) }));
      expect(await Promise.all(found)).toEqual(wanted);
      expect([what, await x.store.count(filter)]).toEqual([what, expected.length]);
    }
  });

  exam("a filter that takes no task finds none", async (x) => {
    await populate(x);
    for (const [what, filterAt] of Object.entries(NOTHING)) {
      const filter = filterAt(x.t);
      for (const sort of SORTS)
        expect([what, await walk(x.store, { filter, sort, limit: 10 })]).toEqual([what, []]);
      expect([what, await x.store.count(filter)]).toEqual([what, 0]);
    }
  });

  exam("an empty store has nothing to list in any order", async ({ store }) => {
    for (const sort of SORTS) {
      expect(await store.list({ filter: {}, sort, after: null, limit: 10 })).toEqual({
        tasks: [],
        next: null,
      });
    }
    expect(await store.count({})).toBe(0);
  });

  exam("a page continues after its cursor, without an earlier call", async (x) => {
    await x.addAll(Array.from({ length: 10 }, () => ({})));
    const page = await x.store.list({ filter: {}, sort: "id", after: { id: 4, finishedAt: null }, limit: 3 });
    expect(idsOf(page.tasks)).toEqual([5, 6, 7]);
    const back = await x.store.list({
      filter: {},
      sort: "-id",
      after: { id: 4, finishedAt: null },
      limit: 10,
    });
    expect(idsOf(back.tasks)).toEqual([3, 2, 1]);
  });

  exam("a cursor keeps the place of its task after the task was deleted", async (x) => {
    const population = await populate(x);
    for (const sort of SORTS) {
      const order = sorted(population, sort);
      const at = nth(order, 3);
      const gone = await x.removed(at.id);
      const after = { id: at.id, finishedAt: at.finishedAt };
      const ids = idsOf(await walk(x.store, { sort, after, limit: 2 }));
      expect({ sort, gone, ids }).toEqual({ sort, gone: true, ids: idsOf(order.slice(4)) });
      population.splice(population.indexOf(at), 1);
    }
  });

  exam("a cursor beyond the last task ends the walk", async (x) => {
    const [, last] = await x.addAll([{}, {}]);
    const after = { id: (last?.id ?? 0) + 1_000, finishedAt: null };
    expect(await x.store.list({ filter: {}, sort: "id", after, limit: 10 })).toEqual({
      tasks: [],
      next: null,
    });
    const first = { id: 1, finishedAt: null };
    expect((await x.store.list({ filter: {}, sort: "-id", after: first, limit: 10 })).tasks).toEqual([]);
  });

  for (const sort of SORTS) {
    exam(
      `pages by ${sort} show each remaining task exactly once while others are created and deleted`,
      async (x) => {
        const population = await populate(x);
        const ended = population.filter(isEnded);
        const leaving = ascending(idsOf(ended.filter((_, n) => n % 3 === 0)));
        const gone = new Set(leaving);
        const found = await walk(x.store, { filter: {}, sort, limit: 2 }, async () => {
          const [first, last] = [leaving.shift(), leaving.pop()];
          await x.store.remove([first, last].flatMap((id) => (id === undefined ? [] : [{ id }])));
          if (leaving.length > 0) await x.ended("cancelled", { type: "newcomer" }, x.t + 1_000);
        });
        const staying = found.filter((task) => task.type !== "newcomer" && !gone.has(task.id));
        const expected = sorted(population, sort).filter((task) => !gone.has(task.id));
        expect(idsOf(staying)).toEqual(idsOf(expected));
        expect(new Set(idsOf(found)).size).toBe(found.length);
      },
    );
  }

  exam("pages show a task once that changes meanwhile but always matches", async (x) => {
    await x.addAll(Array.from({ length: 30 }, () => ({})));
    const found = await walk(
      x.store,
      { filter: { statuses: ["pending", "running"] }, sort: "id", limit: 4 },
      () => x.take(["simulate"], { max: 3 }),
    );
    expect(idsOf(found)).toEqual(Array.from({ length: 30 }, (_, n) => n + 1));
  });

  exam("a rare match is found behind thousands of others", async (x) => {
    const others = Array.from({ length: 1_000 }, () => x.draft({ name: "common" }));
    const rare = x.draft({ name: "needle", type: "rare", tags: ["rare"] });
    for (let n = 0; n < 6; n++) await x.store.insert([{ drafts: others, idempotency: null }], x.t);
    await x.store.insert([{ drafts: [rare], idempotency: null }], x.t);
    await x.store.insert([{ drafts: others, idempotency: null }], x.t);
    const filters: TaskFilter[] = [
      { types: ["rare"] },
      { tags: ["rare"] },
      { search: parseSearch("needle") },
    ];
    for (const filter of filters) {
      for (const sort of ["id", "-id"] as const) {
        expect(idsOf(await walk(x.store, { filter, sort, limit: 10 }))).toEqual([6_001]);
      }
      expect(await x.store.count(filter)).toBe(1);
    }
    expect(await x.store.count({})).toBe(7_001);
  });

  exam("a count changes with created, changed and deleted tasks", async (x) => {
    await x.addAll([{}, {}, {}]);
    await x.take(["*"], { max: 1 });
    const counts = () =>
      Promise.all([
        x.store.count({}),
        x.store.count({ statuses: ["pending"] }),
        x.store.count({ statuses: ["running"] }),
      ]);
    expect(await counts()).toEqual([3, 2, 1]);
    await x.removed(1);
    await x.removed(2);
    expect(await counts()).toEqual([1, 1, 0]);
  });

  exam("an extended lease is over later", async (x) => {
    const task = await x.run();
    await x.beat(task, x.t + 10_000);
    const overAt = (expiredAt: number) => x.store.count({ expiredAt });
    expect(await overAt(task.lease.until)).toBe(0);
    expect(await overAt(task.lease.until + 9_999)).toBe(0);
    expect(await overAt(task.lease.until + 10_000)).toBe(1);
  });
}
