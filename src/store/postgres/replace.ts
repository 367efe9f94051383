/** Steps, each by compare-and-set. Those that change the same columns are one statement. */
import { entersLife } from "../../core/lifecycle.ts";
import { FIELD_NAMES, type FieldName } from "../../core/task.ts";
import { writeInTurn } from "../pieces.ts";
import type { OnceDocument, ReplaceAnswer, Step, Stepped } from "../store.ts";
import { pgArray, pgColumn } from "./array.ts";
import { arraysOf, COLUMNS, changedColumns, namesOf, valuesOf, type Written } from "./columns.ts";
import { createOnceDocuments } from "./documents.ts";
import { keyLock, LOCK_KEYS } from "./insert.ts";
import type { Pool } from "./pool.ts";
import { type Session, type Statement, statement, type Values } from "./statement.ts";

/**
 * Takes the ids, the versions and lease ends that the steps saw, and the columns that change; returns the ids that were written. The rows
 * are locked in the order of their ids, so that two batches never wait for each other.
 */
const write = (
  columns: readonly Written[],
  more = "",
): string => `WITH gate AS MATERIALIZED (SELECT tasktrack.gate()),
  held AS MATERIALIZED (
    SELECT t.status AS was, s.* FROM tasktrack.tasks t JOIN unnest(${arraysOf([...SEEN, ...columns])})
      AS s(${namesOf([...SEEN, ...columns])})
      ON t.id = s.seen_id
    WHERE t.version = s.seen_version AND t.lease_until IS NOT DISTINCT FROM s.seen_until
    ORDER BY t.id FOR NO KEY UPDATE OF t
  ),
  written AS (
    UPDATE tasktrack.tasks t SET ${columns.map(({ name }) => `${name} = s.${name}`).join(", ")}
    FROM held s
    WHERE t.id = s.seen_id AND t.version = s.seen_version AND t.lease_until IS NOT DISTINCT FROM s.seen_until${more}
    RETURNING t.id, t.version, t.status, t.type, s.was
  ),
  ${columns.some(({ name }) => name === "status") ? COUNTED : ""}logged AS (
    INSERT INTO tasktrack.changes (n, entries)
    SELECT count(*), string_agg(id || ' ' || version || ' ' || tasktrack.status_code(status) || '~', ';') FROM written CROSS JOIN gate
    HAVING count(*) > 0
  )
  SELECT id FROM written`;

/** How a step recognizes the task that it was made from. */
export const SEEN = [
  { name: "seen_id", type: "bigint" },
  { name: "seen_version", type: "integer" },
  { name: "seen_until", type: "bigint" },
] as const;

const seenOf = (steps: readonly Step[]): Values => ({
  seen_id: pgArray(steps.map(({ from }) => from.id)),
  seen_version: pgArray(steps.map(({ from }) => from.version)),
  seen_until: pgColumn(steps.map(({ from }) => from.lease?.until ?? null)),
});

/** Only steps that write the status can move a task from one count to another. */
const COUNTED = `counted AS (
    INSERT INTO tasktrack.census (type, status, n)
    SELECT w.type, d.status, sum(d.n)
    FROM written w CROSS JOIN LATERAL (VALUES (w.was, -1), (w.status, 1)) AS d(status, n)
    GROUP BY w.type, d.status HAVING sum(d.n) <> 0
  ),
  `;

/** The fields that the function end_attempts takes, in the order of its parameters; it sets the version and the lease itself. */
const ENDED_FIELDS = [
  ...["status", "runAt", "updatedAt", "attempt", "failures", "losses", "workedMs", "attempts", "finishedAt"],
  ...["progress", "result", "error"],
] as const satisfies readonly FieldName[];
export const ENDED_COLUMNS = COLUMNS.of(ENDED_FIELDS);

const END_ATTEMPTS = `SELECT id FROM tasktrack.end_attempts(${arraysOf([...SEEN, ...ENDED_COLUMNS])}) AS id`;

/** The fields that no end of an attempt changes, as far as end_attempts knows. */
const KEPT_FIELDS = FIELD_NAMES.filter((name) => ![...ENDED_FIELDS, "version", "lease"].includes(name));

const KEY_IS_FREE = ` AND NOT EXISTS (
      SELECT FROM tasktrack.tasks o WHERE o.key = t.key AND o.finished_at IS NULL AND o.id <> t.id)`;

const LOCK_ROWS = `SELECT id FROM tasktrack.tasks WHERE id = ANY ($ids::bigint[]) ORDER BY id FOR NO KEY UPDATE`;

const STANDS = `SELECT t.id FROM tasktrack.tasks t WHERE t.id = $id AND t.version = $version`;

export function createReplace(setup: { readonly pool: Pool; readonly sql: (text: string) => string }) {
  const { pool, sql } = setup;
  const lockKeys = statement(sql(LOCK_KEYS));
  const endOfAttempts = statement(sql(END_ATTEMPTS));
  const lockRows = statement(sql(LOCK_ROWS));
  const stands = statement(sql(STANDS));
  const once = createOnceDocuments(sql);
  const statements = new Map<string, Statement>(); // by the columns that they write; a handful

  function statementFor(columns: readonly Written[], more: string): Statement {
    const name = namesOf(columns) + more;
    const known = statements.get(name) ?? statement(sql(write(columns, more)));
    statements.set(name, known);
    return known;
  }

  /** Each step with a document has a transaction of its own, and the others have a few together. */
  async function replace(steps: readonly Step[]): Promise<ReplaceAnswer[]> {
    const writes = runsOf(steps).flatMap((run) => {
      const [first] = run;
      return first?.once === undefined ? plainWrites(run) : [onceWrite(first, first.once)];
    });
    const answers = new Map((await writeInTurn(writes)).flat());
    return steps.map((step) => answers.get(step) ?? "stale");
  }

  const onceWrite =
    (step: Step, document: OnceDocument): Write =>
    async () => [[step, await replaceOnce(step, document)]];

  const replaceOnce = (step: Step, document: OnceDocument): Promise<ReplaceAnswer> =>
    pool.transaction((session) =>
      once<ReplaceAnswer>(session, document, {
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
    const rows = await endOfAttempts(pool, { ...seenOf(inOrder), ...valuesOf(ENDED_COLUMNS, tasks) });
    return rows.map(({ id }) => Number(id));
  }

  async function writeGroup(session: Session, { columns, steps }: Group, more = ""): Promise<number[]> {
    const tasks = steps.map(({ to }) => to);
    const rows = await statementFor(columns, more)(session, {
      ...seenOf(steps),
      ...valuesOf(columns, tasks),
    });
    return rows.map(({ id }) => Number(id));
  }

  /**
   * While the keys are locked, no other transaction can create or revive a task under them. The steps are written one after the other,
   * because a key that one of them frees or takes counts for the next; the rows are locked before, in the order of their ids.
   */
  async function reviveAmong(session: Session, steps: readonly Step[]): Promise<ReplaceAnswer[]> {
    const keys = steps.filter(isReviving).map(({ to }) => keyLock(to.key ?? ""));
    await lockKeys(session, { names: pgArray(keys) });
    await lockRows(session, { ids: pgArray(steps.map(({ from }) => from.id)) });
    const answers: ReplaceAnswer[] = [];
    for (const step of steps) answers.push(await reviveOne(session, step));
    return answers;
  }

  async function reviveOne(session: Session, step: Step): Promise<ReplaceAnswer> {
    const group = { columns: changedColumns(step.from, step.to), steps: [step] };
    const more = isReviving(step) ? KEY_IS_FREE : "";
    if ((await writeGroup(session, group, more)).length > 0) return "ok";
    const { id, version } = step.from;
    const stillStands = more !== "" && (await stands(session, { id, version })).length > 0;
    return stillStands ? "key_taken" : "stale";
  }

  return replace;
}

/**
 * Whether the step ends an attempt and changes only fields that end_attempts writes. A step that changes any other field is written
 * column by column. The function writes the result, so it cannot write a step without one.
 */
export const isEndOfAttempt = ({ from, to }: Pick<Step, "from" | "to">): boolean =>
  to.result !== undefined &&
  from.lease !== null &&
  to.lease === null &&
  to.version === from.version + 1 &&
  KEPT_FIELDS.every((name) => fieldOf(to, name) === fieldOf(from, name));

const fieldOf = (task: Stepped, name: FieldName): unknown => task[name];

/**
 * Steps that are written one run after the other: a step with a document alone, and the others together. Their order matters only if a
 * step revives a task with a key, which another step may free or take: no two steps are for one task.
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

type Group = { readonly columns: readonly Written[]; readonly steps: readonly Step[] };

function groupByColumns(steps: readonly Step[]): Group[] {
  const groups = new Map<string, { columns: readonly Written[]; steps: Step[] }>();
  for (const step of steps) {
    const columns = changedColumns(step.from, step.to);
    const name = namesOf(columns);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, { columns, steps: [step] });
    else group.steps.push(step);
  }
  return [...groups.values()];
}
