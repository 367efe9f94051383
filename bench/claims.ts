/**
 * Measures whether the time of a claim depends on the number of other tasks in the store. It uses the port of the store directly:
 * it claims ten tasks, ends them as done and inserts ten new ones, so that the backlog keeps its size. Only the claim is timed.
 */
import type { SQL } from "bun";
import { create, settle, TYPE_DEFAULTS } from "../src/core/lifecycle.ts";
import type { Draft, RunningTask } from "../src/core/task.ts";
import type { TaskStore } from "../src/store/store.ts";
import { figure, percentile, printTable, type Verdict } from "./report.ts";
import { type Store, startPostgres, startRedis } from "./stores.ts";
import { clock, LEASE_MS, nonce, openTaskStore } from "./tasktrack.ts";

type Size = {
  readonly pending: number;
  readonly finished: number;
  readonly few: number;
  readonly rounds: number;
  readonly claims: number;
};
type Scenario = { readonly name: string; readonly store: TaskStore; readonly type: string };
type Measured = { readonly name: string; readonly times: number[] };
/** Creates the finished tasks, the backlog and the tasks that are due tomorrow. */
type Fill = (store: TaskStore, size: Size) => Promise<void>;

const POSTGRES: Size = { pending: 1_000_000, finished: 5_000_000, few: 1_000, rounds: 30, claims: 50 };
const REDIS: Size = { ...POSTGRES, pending: 100_000, finished: 500_000 };
const QUICK: Size = { pending: 20_000, finished: 50_000, few: 1_000, rounds: 4, claims: 25 };

const AT_ONCE = 10;
const FILL_AT_ONCE = 1_000;
const DAY_MS = 86_400_000;

/** Most tasks are `common`; a worker takes `rare` only; of `later` all but a few are due tomorrow. */
const [COMMON, RARE, LATER, ABSENT] = ["common", "rare", "later", "absent"] as const;

const draft = (type: string, runAt: number): Draft =>
  create(
    { name: "task 00000000", description: "some description of the work", type, runAt },
    TYPE_DEFAULTS,
    clock.now(),
  );

const insert = async (store: TaskStore, count: number, type: string, runAt: number): Promise<number> => {
  let lastId = 0;
  for (let left = count; left > 0; left -= FILL_AT_ONCE) {
    const drafts = Array.from({ length: Math.min(left, FILL_AT_ONCE) }, () => draft(type, runAt));
    const [answer] = await store.insert([{ drafts, idempotency: null }], clock.now());
    lastId = answer?.kind === "created" ? (answer.tasks.at(-1)?.id ?? 0) : 0;
  }
  return lastId;
};

const claim = async (store: TaskStore, type: string, max: number): Promise<readonly RunningTask[]> => {
  const ask = { worker: "bench", types: [type], max, leaseMs: LEASE_MS };
  const [tasks = []] = await store.claim([ask], { now: clock.now(), nonce: nonce() });
  return tasks;
};

const finish = async (store: TaskStore, tasks: readonly RunningTask[]): Promise<void> => {
  const outcome = { kind: "done", result: null } as const;
  const steps = tasks.map((task) => ({
    from: task,
    to: settle(task, { token: task.token, outcome }, clock.now(), 0),
  }));
  const answers = await store.replace(steps);
  if (answers.some((answer) => answer !== "ok")) {
    throw new Error(`the ends of ${tasks.length} claimed tasks were answered ${answers.join(" ")}`);
  }
};

/** The size of the small groups in the full store, and of the backlog in the empty store. */
const insertFew = async (store: TaskStore, types: readonly string[], size: Size): Promise<void> => {
  for (const type of types) {
    await insert(store, size.few, type, clock.now());
  }
};

/** Only through the port. */
const fillByPort: Fill = async (store, { pending, finished }) => {
  for (let left = finished; left > 0; left -= FILL_AT_ONCE) {
    await insert(store, Math.min(left, FILL_AT_ONCE), COMMON, clock.now());
    await finish(store, await claim(store, COMMON, FILL_AT_ONCE));
  }
  await insert(store, pending, COMMON, clock.now());
  await insert(store, pending, LATER, clock.now() + DAY_MS);
};

/** Millions of tasks would take the port minutes: it creates one task of each kind, which is then copied within the database. */
const fillByCopies =
  (open: () => SQL): Fill =>
  async (store, { pending, finished }) => {
    const sql = open();
    const ended = await insert(store, 1, COMMON, clock.now());
    await finish(store, await claim(store, COMMON, 1));
    const due = await insert(store, 1, COMMON, clock.now());
    const later = await insert(store, 1, LATER, clock.now() + DAY_MS);
    const indexes = await dropIndexes(sql);
    await copy(sql, ended, finished, { finished_at: "t.finished_at - n" });
    await copy(sql, due, pending, { run_at: "t.run_at - n" });
    await copy(sql, later, pending, { run_at: "t.run_at + n" });
    for (const index of indexes) {
      await sql.unsafe(index);
    }
  };

const copy = async (
  sql: SQL,
  id: number,
  count: number,
  own: Readonly<Record<string, string>>,
): Promise<void> => {
  const columns = (await sql.unsafe(
    "SELECT column_name FROM information_schema.columns WHERE table_schema = 'tasktrack' AND table_name = 'tasks'",
  )) as { column_name: string }[];
  const names = columns.map(({ column_name }) => column_name);
  const values: Readonly<Record<string, string>> = { id: "nextval('tasktrack.task_id')", ...own };
  await sql.unsafe(
    `INSERT INTO tasktrack.tasks (${names.join(", ")})
     SELECT ${names.map((name) => values[name] ?? `t.${name}`).join(", ")}
     FROM tasktrack.tasks t CROSS JOIN generate_series(1, ${count}) AS n WHERE t.id = ${id}`,
  );
};

/** Building an index over millions of rows is several times faster than updating it for each row. */
const dropIndexes = async (sql: SQL): Promise<readonly string[]> => {
  const indexes = (await sql.unsafe(
    `SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'tasktrack' AND tablename = 'tasks'
     AND indexname <> 'tasks_pkey'`,
  )) as { indexname: string; indexdef: string }[];
  for (const { indexname } of indexes) {
    await sql.unsafe(`DROP INDEX tasktrack.${indexname}`);
  }
  return indexes.map(({ indexdef }) => indexdef);
};

const timeOne = async ({ store, type, name }: Scenario): Promise<number> => {
  const startedAt = performance.now();
  const tasks = await claim(store, type, AT_ONCE);
  const elapsed = performance.now() - startedAt;
  const expected = type === ABSENT ? 0 : AT_ONCE;
  if (tasks.length !== expected) {
    throw new Error(`${name}: a claim of ${AT_ONCE} got ${tasks.length} tasks, not ${expected}`);
  }
  if (tasks.length > 0) {
    await finish(store, tasks);
    await insert(store, tasks.length, type, clock.now());
  }
  return elapsed;
};

/** The kinds take turns, so that other activity of the machine affects all of them equally. The first round is the warm-up. */
const measure = async (scenarios: readonly Scenario[], { rounds, claims }: Size): Promise<Measured[]> => {
  const measured = scenarios.map(({ name }): Measured => ({ name, times: [] }));
  for (let round = 0; round <= rounds; round += 1) {
    for (const [at, scenario] of scenarios.entries()) {
      for (let count = 0; count < claims; count += 1) {
        const elapsed = await timeOne(scenario);
        if (round > 0) {
          measured[at]?.times.push(elapsed);
        }
      }
    }
  }
  return measured;
};

const compare = async (
  stores: { readonly small: Store; readonly large: Store },
  fill: Fill,
  size: Size,
): Promise<Verdict[]> => {
  const small = await openTaskStore(await stores.small.empty());
  const large = await openTaskStore(await stores.large.empty());
  await insertFew(small, [COMMON], size);
  const startedAt = performance.now();
  await fill(large, size);
  await insertFew(large, [RARE, LATER], size);
  await stores.small.settle();
  await stores.large.settle();
  const filledIn = (performance.now() - startedAt) / 1000;
  const measured = await measure(
    [
      { name: `${figure(size.few)} pending, nothing else`, store: small, type: COMMON },
      { name: `one of ${figure(size.pending)} pending`, store: large, type: COMMON },
      { name: `a rare type, ${figure(size.few)} pending`, store: large, type: RARE },
      {
        name: `${figure(size.few)} due, ${figure(size.pending)} of the type tomorrow`,
        store: large,
        type: LATER,
      },
      { name: "a type without tasks", store: large, type: ABSENT },
    ],
    size,
  );
  await small.close();
  await large.close();
  const p99 = ({ times }: Measured): number => percentile(times, 0.99);
  const [alone, ...others] = measured as [Measured, ...Measured[]]; // one for each of the five
  printTable([
    [`${stores.large.name}, claims of ${AT_ONCE}, ms`, "p50", "p99", "most", "p99 / the first"],
    ...measured.map((one) => [
      one.name,
      ...[0.5, 0.99, 1].map((share) => figure(percentile(one.times, share))),
      figure(p99(one) / p99(alone)),
    ]),
  ]);
  console.log(
    `  the large store also holds ${figure(size.finished)} finished tasks; filled in ${figure(filledIn)} s; ${alone.times.length} claims of each kind`,
  );
  return others.map((one) => ({
    what: `claim p99 on ${stores.large.name}, ${one.name} / nothing else`,
    measured: p99(one) / p99(alone),
    target: 2,
    want: "at most",
    unit: "",
  }));
};

const onPostgres = async (size: Size): Promise<Verdict[]> => {
  const [small, large] = [await startPostgres(), await startPostgres()];
  const verdicts = await compare(
    { small, large },
    fillByCopies(() => large.sql()),
    size,
  );
  await small.remove();
  await large.remove();
  return verdicts;
};

const onRedis = async (size: Size): Promise<Verdict[]> => {
  const [small, large] = [await startRedis("everysec"), await startRedis("everysec")];
  const verdicts = await compare({ small, large }, fillByPort, size);
  await small.remove();
  await large.remove();
  return verdicts;
};

export const claims = async (quick: boolean): Promise<Verdict[]> => [
  ...(await onPostgres(quick ? QUICK : POSTGRES)),
  ...(await onRedis(quick ? QUICK : REDIS)),
];
