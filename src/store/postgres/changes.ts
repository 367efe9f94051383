/**
 * Reads the change log so that no commit is ever missed. Revs are drawn from a sequence, so transactions may commit in
 * another order than they drew: a reader that sees a gap must not go on before whoever drew the missing rev has ended.
 * Every writer holds `gate`, a shared advisory lock, from before it draws until it ends, so those who may still fill a gap
 * are the holders of that lock, and nobody else's long transaction matters (as it would if the reader waited for the
 * snapshot's horizon), and writers never wait for each other (as they would if revs were drawn under an exclusive lock).
 */
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import type { Status } from "../../core/task.ts";
import type { Change, ChangeKind, ChangePage, Position } from "../store.ts";
import type { Row, Session } from "./pool.ts";

/** How soon those who may fill a gap are looked at again; a commit takes about that long. */
const LOOK_AGAIN_MS = 2;
/** A reader is told nothing new rather than kept longer; it comes back from the same place. */
const WAIT_AT_MOST_MS = 5_000;

/** Of this life of the data: a restored copy, another cluster, or a standby that took over is another one. */
const EPOCH = `(SELECT md5(m.epoch || current_database() || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))
  FROM tasktrack.meta m)`;

/** One row at least, so that the facts come even where nothing has changed. */
const PAGE = `WITH page AS (SELECT * FROM tasktrack.changes WHERE rev > $1 ORDER BY rev LIMIT $2)
  SELECT ${EPOCH}, m.pruned::float8, (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tasktrack.rev)::float8,
    p.rev::float8, p.task_id::float8, p.version, p.status, p.kind
  FROM tasktrack.meta m LEFT JOIN page p ON true ORDER BY p.rev`;

const END = `SELECT ${EPOCH}, (SELECT greatest(max(c.rev), min(m.pruned))::float8 FROM tasktrack.changes c)
  FROM tasktrack.meta m`;

const WRITERS = `SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = 'tasktrack.changes'::regclass::oid AND objid = 0`;

export function createChangeReader(setup: {
  readonly session: Session;
  readonly clock: Clock;
  readonly sql: (text: string) => string;
}) {
  const { session, clock } = setup;
  const [endOf, pageAfter, writers] = [setup.sql(END), setup.sql(PAGE), setup.sql(WRITERS)];
  /** Up to here every rev is either there or will never be. */
  let final = 0;

  async function changes(after: Position | null, limit: number): Promise<ChangePage> {
    if (after === null) return { kind: "changes", changes: [], position: await end() };
    const page = await readPage(after.rev, limit);
    if (after.epoch !== page.epoch || after.rev < page.pruned || after.rev > page.drawn) {
      return { kind: "gone", position: await end() };
    }
    const sure =
      page.sure.length > 0 || page.seen === null ? page.sure : await waitAndRead(after, page.seen, limit);
    return {
      kind: "changes",
      changes: sure,
      position: { epoch: after.epoch, rev: sure.at(-1)?.rev ?? after.rev },
    };
  }

  /** The end as it is seen now, once everything before it is final. */
  async function end(): Promise<Position> {
    const [row] = await session.rows(endOf);
    const rev = Number(row?.[1]);
    if (!(await settle(rev))) {
      throw new TaskError(
        "store_unavailable",
        "The store does not answer: its change log does not come to rest",
      );
    }
    return { epoch: String(row?.[0]), rev };
  }

  /** Whoever may still fill the gap right behind the reader is waited for; nothing new where that takes too long. */
  async function waitAndRead(after: Position, seen: number, limit: number): Promise<readonly Change[]> {
    if (!(await settle(seen))) return [];
    return (await readPage(after.rev, limit)).sure; // with what was filled meanwhile
  }

  async function readPage(after: number, limit: number) {
    const finalBefore = final; // what became final later may not be among the rows that are read now
    const rows = await session.rows(pageAfter, [after, limit]);
    const changes = rows.flatMap(([, , , ...change]) => (change[0] === null ? [] : [readChange(change)]));
    const [epoch, pruned, drawn] = rows[0] ?? [];
    return {
      epoch: String(epoch),
      pruned: Number(pruned),
      drawn: Number(drawn),
      sure: takeSure(changes, after, finalBefore),
      seen: changes.at(-1)?.rev ?? null,
    };
  }

  /**
   * Waits until all who were writing have ended: what they drew, up to a rev that is seen already, is then there or never
   * will be. False when that takes too long.
   */
  async function settle(seen: number): Promise<boolean> {
    if (seen <= final) return true;
    const giveUpAt = clock.monotonic() + WAIT_AT_MOST_MS;
    const before = await writing();
    for (let still = before; still.size > 0; still = (await writing()).intersection(before)) {
      if (clock.monotonic() > giveUpAt) return false;
      await new Promise<void>((resolve) => void clock.after(LOOK_AGAIN_MS, resolve));
    }
    final = Math.max(final, seen);
    return true;
  }

  const writing = async (): Promise<ReadonlySet<unknown>> =>
    new Set((await session.rows(writers)).map(([transaction]) => transaction));

  return { changes };
}

/** The changes before the first gap that may still be filled. */
function takeSure(changes: readonly Change[], after: number, final: number): readonly Change[] {
  let expected = after + 1;
  for (const [at, { rev }] of changes.entries()) {
    if (rev !== expected && rev - 1 > final) return changes.slice(0, at);
    expected = rev + 1;
  }
  return changes;
}

const readChange = ([rev, id, version, status, kind]: Row): Change => ({
  rev: Number(rev),
  id: Number(id),
  version: Number(version),
  status: status as Status, // as the next, what the writers of this folder wrote
  kind: kind as ChangeKind,
});
