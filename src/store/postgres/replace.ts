/** Steps, each by compare-and-set. Those that change the same columns are one statement. */
import { entersLife } from "../../core/lifecycle.ts";
import { writeInTurn } from "../pieces.ts";
import type { OnceNote, ReplaceAnswer, Step, Stepped } from "../store.ts";
import { pgArray, pgColumn } from "./array.ts";
import { keyLock, LOCK_KEYS } from "./insert.ts";
import { createOnceNotes } from "./notes.ts";
import type { Parameter, Pool, Session } from "./pool.ts";
import { type Column, changedColumns, valuesOf } from "./rows.ts";

/**
 * Takes the ids, the versions and lease ends that the steps saw, and a column for each field that changes; returns the ids
 * that were written. The rows are locked in the order of their ids, so that two batches never wait for each other.
 */
const write = (
  columns: readonly Column[],
  more = "",
): string => `WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
  held AS MATERIALIZED (
    SELECT t.status AS was, s.* FROM tasktrack.tasks t JOIN unnest($1::bigint[], $2::integer[], $3::bigint[]${columns
      .map(({ type }, at) => `, $${at + 4}::${type}[]`)
      .join("")}) AS s(id, seen_version, seen_until${columns.map(({ name }) => `, ${name}`).join("")})
      ON t.id = s.id
    WHERE t.version = s.seen_version AND t.lease_until IS NOT DISTINCT FROM s.seen_until
    ORDER BY t.id FOR NO KEY UPDATE OF t
  ),
  written AS (
    UPDATE tasktrack.tasks t SET ${columns.map(({ name }) => `${name} = s.${name}`).join(", ")}
    FROM held s
    WHERE t.id = s.id AND t.version = s.seen_version AND t.lease_until IS NOT DISTINCT FROM s.seen_until${more}
    RETURNING t.id, t.version, t.status, t.type, s.was
  ),
  ${columns.some(({ name }) => name === "status") ? COUNTED : ""}logged AS (
    INSERT INTO tasktrack.changes (n, entries)
    SELECT count(*), string_agg(id || ' ' || version || ' ' || left(status, 1) || '~', ';') FROM written CROSS JOIN gate
    HAVING count(*) > 0
  )
  SELECT id FROM written`;

/** Only steps that write the status can move a task from one count to another. */
const COUNTED = `counted AS (
    INSERT INTO tasktrack.census (type, status, n)
    SELECT w.type, d.status, sum(d.n)
    FROM written w CROSS JOIN LATERAL (VALUES (w.was, -1), (w.status, 1)) AS d(status, n)
    GROUP BY w.type, d.status HAVING sum(d.n) <> 0
  ),
  `;

const END_ATTEMPTS = `SELECT id FROM tasktrack.end_attempts($1::bigint[], $2::integer[], $3::bigint[], $4::text[],
  $5::bigint[], $6::bigint[], $7::integer[], $8::integer[], $9::integer[], $10::bigint[], $11::text[], $12::bigint[],
  $13::double precision[], $14::text[], $15::text[], $16::text[], $17::text[]) AS id`;

const KEY_IS_FREE = ` AND NOT EXISTS (
      SELECT FROM tasktrack.tasks o WHERE o.key = t.key AND o.finished_at IS NULL AND o.id <> t.id)`;

const LOCK_ROWS = `SELECT FROM tasktrack.tasks WHERE id = ANY ($1::bigint[]) ORDER BY id FOR NO KEY UPDATE`;

const STANDS = `SELECT FROM tasktrack.tasks t WHERE t.id = $1 AND t.version = $2`;

export function createReplace(setup: { readonly pool: Pool; readonly sql: (text: string) => string }) {
  const { pool, sql } = setup;
  const lockKeys = sql(LOCK_KEYS);
  const endOfAttempts = sql(END_ATTEMPTS);
  const lockRows = sql(LOCK_ROWS);
  const stands = sql(STANDS);
  const once = createOnceNotes(sql);
  const statements = new Map<string, string>(); // by the columns that they write; a handful

  function statementFor(columns: readonly Column[], more = ""): string {
    const name = columns.map((column) => column.name).join() + more;
    const known = statements.get(name);
    if (known !== undefined) return known;
    const statement = sql(write(columns, more));
    statements.set(name, statement);
    return statement;
  }

  /** Each step with a note has a transaction of its own, and the others have a few together. */
  async function replace(steps: readonly Step[]): Promise<ReplaceAnswer[]> {
    const writes = runsOf(steps).flatMap((run) => {
      const [first] = run;
      return first?.once === undefined ? plainWrites(run) : [onceWrite(first, first.once)];
    });
    const answers = new Map((await writeInTurn(writes)).flat());
    return steps.map((step) => answers.get(step) ?? "stale");
  }

  const onceWrite =
    (step: Step, note: OnceNote): Write =>
    async () => [[step, await replaceOnce(step, note)]];

  const replaceOnce = (step: Step, note: OnceNote): Promise<ReplaceAnswer> =>
    pool.transaction((session) =>
      once<ReplaceAnswer>(session, note, {
        run: async () => (await reviveAmong(session, [step]))[0] ?? "stale",
        isDone: (answer) => answer === "ok",
        otherwise: "stale",
      }),
    );

  function plainWrites(steps: readonly Step[]): Write[] {
    if (steps.some(isReviving)) {
      return [async () => zip(steps, await pool.transaction((session) => reviveAmong(session, steps)))];
    }
    const ends = steps.filter(isEndOfAttempt);
    const groups = groupByColumns(steps.filter((step) => !isEndOfAttempt(step)));
    return [
      ...(ends.length === 0 ? [] : [async () => answersOf(ends, await endAttempts(ends))]),
      ...groups.map((group) => async () => answersOf(group.steps, await writeGroup(pool, group))),
    ];
  }

  async function endAttempts(steps: readonly Step[]): Promise<number[]> {
    const inOrder = steps.toSorted((a, b) => a.from.id - b.from.id);
    const tasks = inOrder.map(({ to }) => to);
    const parameters = [
      tasks.map(({ id }) => id),
      inOrder.map(({ from }) => from.version),
      inOrder.map(({ from }) => from.lease?.until ?? null),
      tasks.map(({ status }) => status),
      tasks.map(({ runAt }) => runAt),
      tasks.map(({ updatedAt }) => updatedAt),
      tasks.map(({ attempt }) => attempt),
      tasks.map(({ failures }) => failures),
      tasks.map(({ losses }) => losses),
      tasks.map(({ workedMs }) => workedMs),
      tasks.map(({ attempts }) => JSON.stringify(attempts)),
      tasks.map(({ finishedAt }) => finishedAt),
      tasks.map(({ progress }) => progress?.percent ?? null),
      tasks.map(({ progress }) => progress?.message ?? null),
      tasks.map(({ result }) => result ?? null),
      tasks.map(({ error }) => error?.code ?? null),
      tasks.map(({ error }) => error?.message ?? null),
    ].map(pgColumn);
    return (await pool.rows(endOfAttempts, parameters)).map(([id]) => Number(id));
  }

  async function writeGroup(session: Session, { columns, steps }: Group, more = ""): Promise<number[]> {
    const parameters = [
      steps.map(({ from }) => from.id),
      steps.map(({ from }) => from.version),
      steps.map(({ from }) => from.lease?.until ?? null),
      ...columns.map((column) =>
        valuesOf(
          column,
          steps.map(({ to }) => to),
        ),
      ),
    ].map(pgColumn) satisfies Parameter[];
    return (await session.rows(statementFor(columns, more), parameters)).map(([id]) => Number(id));
  }

  /**
   * With the keys locked nobody else can come to life under them. One step after the other, for what one of them frees or
   * takes counts for the next; the rows are locked before, in the order of their ids.
   */
  async function reviveAmong(session: Session, steps: readonly Step[]): Promise<ReplaceAnswer[]> {
    const keys = steps.filter(isReviving).map(({ to }) => keyLock(to.key ?? ""));
    await session.rows(lockKeys, [pgArray(keys)]);
    await session.rows(lockRows, [pgArray(steps.map(({ from }) => from.id))]);
    const answers: ReplaceAnswer[] = [];
    for (const step of steps) answers.push(await reviveOne(session, step));
    return answers;
  }

  async function reviveOne(session: Session, step: Step): Promise<ReplaceAnswer> {
    const group = { columns: changedColumns(step.from, step.to), steps: [step] };
    const more = isReviving(step) ? KEY_IS_FREE : "";
    if ((await writeGroup(session, group, more)).length > 0) return "ok";
    const { id, version } = step.from;
    const stillStands = more !== "" && (await session.rows(stands, [id, version])).length > 0;
    return stillStands ? "key_taken" : "stale";
  }

  return replace;
}

/**
 * Whether the step ends an attempt and changes only columns that `end_attempts` writes. `end_attempts` writes the result, so it
 * cannot write a step without one.
 */
const isEndOfAttempt = ({ from, to }: { readonly from: Stepped; readonly to: Stepped }): boolean =>
  to.result !== undefined &&
  from.lease !== null &&
  to.lease === null &&
  to.version === from.version + 1 &&
  from.name === to.name &&
  from.description === to.description &&
  from.type === to.type &&
  from.payload === to.payload &&
  from.priority === to.priority &&
  from.tags === to.tags &&
  from.key === to.key &&
  from.timeoutMs === to.timeoutMs &&
  from.maxAttempts === to.maxAttempts &&
  from.backoff === to.backoff &&
  from.createdAt === to.createdAt &&
  from.claims === to.claims &&
  from.token === to.token &&
  from.startedAt === to.startedAt;

/**
 * Steps that are written one run after the other: a step with a note alone, and the others together. Their order matters only where a
 * step brings a key back to life, which another step may free or take: no two steps are for one task.
 */
function runsOf(steps: readonly Step[]): Step[][] {
  if (!steps.some(isReviving)) {
    const { plain = [], once = [] } = Object.groupBy(steps, (step) =>
      step.once === undefined ? "plain" : "once",
    );
    return [plain, ...once.map((step) => [step])];
  }
  const runs: Step[][] = [];
  for (const step of steps) {
    const run = runs.at(-1);
    if (run === undefined || step.once !== undefined || run[0]?.once !== undefined) runs.push([step]);
    else run.push(step);
  }
  return runs;
}

const isReviving = ({ from, to }: Step): boolean => to.key !== null && entersLife(from, to);

/** One transaction. */
type Write = () => Promise<(readonly [Step, ReplaceAnswer])[]>;

function answersOf(steps: readonly Step[], written: readonly number[]): (readonly [Step, ReplaceAnswer])[] {
  const ids = new Set(written);
  return steps.map((step) => [step, ids.has(step.from.id) ? "ok" : "stale"]);
}

const zip = <A, B>(keys: readonly A[], values: readonly B[]): [A, B][] =>
  keys.flatMap((key, at) => (values[at] === undefined ? [] : [[key, values[at]]]));

type Group = { readonly columns: readonly Column[]; readonly steps: readonly Step[] };

function groupByColumns(steps: readonly Step[]): Group[] {
  const groups = new Map<string, { columns: readonly Column[]; steps: Step[] }>();
  for (const step of steps) {
    const columns = changedColumns(step.from, step.to);
    const name = columns.map((column) => column.name).join();
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { columns, steps: [step] });
    else group.steps.push(step);
  }
  return [...groups.values()];
}
