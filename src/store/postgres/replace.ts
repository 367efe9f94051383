/** Steps, each by compare-and-set. Those that change the same columns are one statement. */
import { entersLife } from "../../core/lifecycle.ts";
import type { ReplaceAnswer, Step } from "../store.ts";
import { pgArray } from "./array.ts";
import { keyLock, LOCK_KEYS } from "./insert.ts";
import type { Parameter, Pool, Session } from "./pool.ts";
import { type Column, changedColumns } from "./rows.ts";

/**
 * Takes the ids, the versions and lease ends that the steps saw, and a column for each field that changes; returns the ids
 * that were written. The rows are locked in the order of their ids, so that two batches never wait for each other.
 */
const write = (
  columns: readonly Column[],
  more = "",
): string => `WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
  step AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[]${columns
      .map(({ type }, at) => `, $${at + 4}::${type}[]`)
      .join("")}) AS s(id, seen_version, seen_until${columns.map(({ name }) => `, ${name}`).join("")})
  ),
  held AS MATERIALIZED (
    SELECT t.id FROM tasktrack.tasks t JOIN step s ON t.id = s.id
    WHERE t.version = s.seen_version AND t.lease_until IS NOT DISTINCT FROM s.seen_until
    ORDER BY t.id FOR NO KEY UPDATE OF t
  ),
  written AS (
    UPDATE tasktrack.tasks t SET ${columns.map(({ name }) => `${name} = s.${name}`).join(", ")}
    FROM step s JOIN held ON held.id = s.id
    WHERE t.id = s.id AND t.version = s.seen_version AND t.lease_until IS NOT DISTINCT FROM s.seen_until${more}
    RETURNING t.id, t.version, t.status
  ),
  logged AS (
    INSERT INTO tasktrack.changes (task_id, version, status, kind)
    SELECT id, version, status, 'changed' FROM written CROSS JOIN gate
  )
  SELECT id::float8 FROM written`;

const KEY_IS_FREE = ` AND NOT EXISTS (
      SELECT FROM tasktrack.tasks o WHERE o.key = t.key AND o.finished_at IS NULL AND o.id <> t.id)`;

const STANDS = `SELECT FROM tasktrack.tasks t WHERE t.id = $1 AND t.version = $2`;

export function createReplace(setup: { readonly pool: Pool; readonly sql: (text: string) => string }) {
  const { pool, sql } = setup;
  const lockKeys = sql(LOCK_KEYS);
  const stands = sql(STANDS);
  const statements = new Map<string, string>(); // by the columns that they write; a handful

  function statementFor(columns: readonly Column[], more = ""): string {
    const name = columns.map((column) => column.name).join() + more;
    const known = statements.get(name);
    if (known !== undefined) return known;
    const statement = sql(write(columns, more));
    statements.set(name, statement);
    return statement;
  }

  async function replace(steps: readonly Step[]): Promise<ReplaceAnswer[]> {
    const written = new Set<number>();
    const refused = new Map<number, ReplaceAnswer>();
    const [reviving, others] = partition(
      steps,
      (step) => step.to.key !== null && entersLife(step.from, step.to),
    );
    for (const group of groupByColumns(others)) {
      for (const id of await writeGroup(pool, group)) written.add(id);
    }
    if (reviving.length > 0) {
      for (const [id, answer] of await pool.transaction((session) => revive(session, reviving))) {
        if (answer === "ok") written.add(id);
        else refused.set(id, answer);
      }
    }
    return steps.map(({ from }) => (written.has(from.id) ? "ok" : (refused.get(from.id) ?? "stale")));
  }

  async function writeGroup(session: Session, { columns, steps }: Group, more = ""): Promise<number[]> {
    const parameters = [
      steps.map(({ from }) => from.id),
      steps.map(({ from }) => from.version),
      steps.map(({ from }) => from.lease?.until ?? null),
      ...columns.map(({ of }) => steps.map(({ to }) => of(to))),
    ].map(pgArray) satisfies Parameter[];
    return (await session.rows(statementFor(columns, more), parameters)).map(([id]) => Number(id));
  }

  /** With the key locked, nobody else can come to life under it; one step after the other, for two may want one key. */
  async function revive(session: Session, steps: readonly Step[]): Promise<Map<number, ReplaceAnswer>> {
    await session.rows(lockKeys, [pgArray(steps.map(({ to }) => keyLock(to.key ?? "")))]);
    const answers = new Map<number, ReplaceAnswer>();
    for (const step of steps.toSorted((a, b) => a.from.id - b.from.id)) {
      const { id, version } = step.from;
      const group = { columns: changedColumns(step.from, step.to), steps: [step] };
      const isWritten = (await writeGroup(session, group, KEY_IS_FREE)).length > 0;
      const isThere = isWritten || (await session.rows(stands, [id, version])).length > 0;
      answers.set(id, isWritten ? "ok" : isThere ? "key_taken" : "stale");
    }
    return answers;
  }

  return replace;
}

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

function partition<T>(members: readonly T[], test: (member: T) => boolean): [T[], T[]] {
  const [yes, no]: [T[], T[]] = [[], []];
  for (const member of members) (test(member) ? yes : no).push(member);
  return [yes, no];
}
