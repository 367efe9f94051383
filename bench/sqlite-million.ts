/**
 * `bun bench/sqlite-million.ts [tasks]`, started manually: a million tasks in a SQLite file. It measures the time of each verb, and
 * the lag of the server's own thread by a timer of five milliseconds.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, settle, TYPE_DEFAULTS } from "../src/core/lifecycle.ts";
import { parseSearch } from "../src/core/search.ts";
import type { RunningTask } from "../src/core/task.ts";
import { createLog } from "../src/lib/log.ts";
import { systemClock } from "../src/lib/system-clock.ts";
import { openStore } from "../src/store/open.ts";
import type { Cursor, TaskFilter, TaskPage, TaskStore } from "../src/store/store.ts";
import { figure, percentile, printTable } from "./report.ts";

const TASKS = Number(Bun.argv[2] ?? 1_000_000);
const ENDED = TASKS / 5;
const RARE_EVERY = 100_000;
const BATCH = 500;
const TICK_MS = 5;
const LATE_AT_MOST_MS = 20;

const HOUR_MS = 3_600_000;

/** The delay of the timer, from each tick to the next. */
const watchLateness = () => {
  const late: number[] = [];
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    late.push(Math.max(0, now - last - TICK_MS));
    last = now;
  }, TICK_MS);
  return () => {
    clearInterval(timer);
    return late.length === 0 ? [0] : late;
  };
};

const rows: string[][] = [["", "how many", "a second", "p50 ms", "p99 ms", "timer late p99", "most"]];
const worst: number[] = [];

/** Repeats the function until it reports the end; it returns how many it has done. */
const measure = async (name: string, action: () => Promise<number | null>): Promise<void> => {
  const lateness = watchLateness();
  const startedAt = performance.now();
  const took: number[] = [];
  let done = 0;
  for (;;) {
    const from = performance.now();
    const count = await action();
    if (count === null) break;
    took.push(performance.now() - from);
    done += count;
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const late = lateness();
  worst.push(percentile(late, 0.99));
  rows.push([
    name,
    figure(done),
    figure(done / seconds),
    ...[percentile(took, 0.5), percentile(took, 0.99), percentile(late, 0.99), Math.max(...late)].map(figure),
  ]);
};

const times = (count: number, action: () => Promise<number>): (() => Promise<number | null>) => {
  let left = count;
  return async () => (left-- > 0 ? action() : null);
};

const walking = (store: TaskStore, filter: TaskFilter, seconds = 60): (() => Promise<number | null>) => {
  let after: Cursor | null = null;
  let isOver = false;
  const until = performance.now() + seconds * 1_000;
  return async () => {
    if (isOver || performance.now() > until) return null;
    const page: TaskPage = await store.list({ filter, sort: "id", after, limit: 1_000 });
    after = page.next;
    isOver = after === null;
    return page.tasks.length;
  };
};

let made = 0;

const fill = (store: TaskStore): (() => Promise<number | null>) => {
  const start = made;
  return async () => {
    if (made - start >= TASKS) return null;
    const now = Date.now();
    const requests = Array.from({ length: BATCH }, () => ({
      drafts: [draft(++made, now)],
      idempotency: null,
    }));
    await store.insert(requests, now);
    return BATCH;
  };
};

const draft = (n: number, now: number) =>
  create(
    {
      name: `encode film ${n}`,
      description: "in three sizes, with subtitles where there are some",
      payload: `{"film":${n},"to":"viewer-${n}@example.com"}`,
      type: n % RARE_EVERY === 0 ? "rare" : `video.${n % 10}`,
      priority: n % 3,
    },
    TYPE_DEFAULTS,
    now,
  );

let claims = 0;

const claim = async (store: TaskStore, types: readonly string[], max: number): Promise<RunningTask[]> => {
  const terms = { now: Date.now(), nonce: `n${++claims}` };
  return (await store.claim([{ worker: "w", types, max, leaseMs: HOUR_MS }], terms)).flat();
};

const work = async (store: TaskStore): Promise<number> => {
  const running = await claim(store, ["video.*"], BATCH);
  const now = Date.now();
  const outcome = { kind: "done", result: '{"ok":true}' } as const;
  await store.replace(
    running.map((from) => ({ from, to: settle(from, { token: from.token, outcome }, now, 0) })),
  );
  return running.length;
};

const retire = async (store: TaskStore): Promise<number> => {
  const filter: TaskFilter = { statuses: ["done"], finishedBefore: Date.now() };
  const { tasks } = await store.list({ filter, sort: "finished_at", after: null, limit: 1_000 });
  await store.remove(tasks.map(({ id, version }) => ({ id, version })));
  return tasks.length;
};

const one = (ask: Promise<unknown>): Promise<number> => ask.then(() => 1);

const run = async (store: TaskStore): Promise<void> => {
  await measure("create, 500 a call", fill(store));
  await measure(
    "claim and settle, 500 a call",
    times(ENDED / BATCH, () => work(store)),
  );
  await measure(
    "claim one of any type",
    times(1_000, () => one(claim(store, ["*"], 1))),
  );
  await measure(
    "claim one of a rare type",
    times(TASKS / RARE_EVERY, () => one(claim(store, ["rare"], 1))),
  );
  await measure(
    "claim where there is nothing",
    times(1_000, () => one(claim(store, ["none.*", "rare"], 1))),
  );
  await measure(
    "get one",
    times(2_000, () => one(store.get([1 + Math.floor(Math.random() * TASKS)]))),
  );
  await measure("list all, 1,000 a page", walking(store, {}));
  await measure("list the running", walking(store, { statuses: ["running"] }));
  await measure("list a rare type", walking(store, { types: ["rare"] }));
  await measure(
    "leases that are over",
    times(20, () =>
      one(store.list({ filter: { expiredAt: Date.now() }, sort: "id", after: null, limit: 1_000 })),
    ),
  );
  await measure(
    "search that finds nothing",
    walking(store, { search: parseSearch("absent payload.to:x") }, 10),
  );
  await measure("search that finds all", walking(store, { search: parseSearch("film") }, 5));
  await measure(
    "count all",
    times(3, () => one(store.count({}))),
  );
  await measure(
    "count the done",
    times(3, () => one(store.count({ statuses: ["done"] }))),
  );
  await measure(
    "count a type",
    times(1, () => one(store.count({ types: ["video.7"] }))),
  );
  const searching = walking(store, { search: parseSearch("absent") }, 5);
  const searched = (async () => {
    while ((await searching()) !== null);
  })();
  await measure(
    "create, 500 a call, beside a search",
    times(40, () =>
      store
        .insert(
          Array.from({ length: BATCH }, () => ({ drafts: [draft(++made, Date.now())], idempotency: null })),
          Date.now(),
        )
        .then(() => BATCH),
    ),
  );
  await measure(
    "claim one, beside a search",
    times(200, () => one(claim(store, ["*"], 1))),
  );
  await searched;
  await measure(
    "retention, 1,000 a call",
    times(ENDED / 1_000, () => retire(store)),
  );
};

const folder = await mkdtemp(join(tmpdir(), "tasktrack-bench-"));
const path = join(folder, "tasks.db");
const setup = {
  url: `sqlite:${path}`,
  clock: systemClock,
  log: createLog({
    level: "warn",
    pretty: false,
    now: Date.now,
    write: (line) => process.stdout.write(line),
  }),
  random: Math.random,
  nonce: () => crypto.randomUUID(),
  worker: "bench",
  allowVolatileRedis: false,
};
try {
  const store = await openStore(setup);
  await run(store);
  await store.close();
  const from = performance.now();
  await (await openStore(setup)).close();
  printTable(rows);
  console.log(
    `  opened and closed again in ${figure(performance.now() - from)} ms; the file has ${figure(Bun.file(path).size / 1e6)} MB`,
  );
  console.log(
    `  the timer was late by at most ${figure(Math.max(...worst))} ms at p99; wanted: ${LATE_AT_MOST_MS}`,
  );
} finally {
  await rm(folder, { recursive: true });
}
