/**
 * Reads the change log so that no commit is ever missed. The changes of one statement are one row, a batch. Batches are drawn
 * from a sequence, so transactions may commit in another order than they drew: a reader that sees a gap must not go on before
 * whoever drew the missing batch has ended. Every writer holds `gate`, a shared advisory lock, from before it draws until it
 * ends, so those who may still fill a gap are the holders of that lock, and nobody else's long transaction matters (as it
 * would if the reader waited for the snapshot's horizon), and writers never wait for each other (as they would if batches
 * were drawn under an exclusive lock).
 */
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import { sleep } from "../../lib/waiting.ts";
import { readEntry } from "../changes-text.ts";
import type { Change, ChangePage, Position } from "../store.ts";
import type { Parameter, Row, Session } from "./pool.ts";
import { type Statement, statement } from "./statement.ts";

/** A rev is the number of its batch and, below it, its place there from 1. Seventeen years of a thousand batches a second. */
export const CHANGES_A_BATCH = 16_384;

/** How soon those who may fill a gap are looked at again; a commit takes about that long. */
const LOOK_AGAIN_MS = 2;
/** A reader is told nothing new rather than kept longer; it comes back from the same place. */
const WAIT_AT_MOST_MS = 5_000;

/**
 * The epoch: it identifies this copy of the data. Restoring a dump creates the tables again with other oids, or with other files
 * where only the rows were restored. A copy of the database has another database oid. Another cluster has another system
 * identifier. A promoted standby, or a restore to a point in time, has another timeline. The parameter is the system identifier.
 */
const EPOCH = `(SELECT md5(concat_ws(' ', m.epoch, $identifier::text, d.oid, d.datname, 'tasktrack.meta'::regclass::oid,
    pg_relation_filenode('tasktrack.meta'), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)))
  FROM tasktrack.meta m, pg_database d WHERE d.datname = current_database()) AS epoch, pg_postmaster_start_time()::text AS started_at`;

/**
 * The system identifier is read from a file, which takes four times as long as the rest of a read. It can only change with a
 * restart of the server.
 */
const CLUSTER = `SELECT pg_postmaster_start_time()::text AS started_at, system_identifier::text AS identifier FROM pg_control_system()`;

/**
 * Batches from the one in which the reader stands, as many as hold the changes that it wants behind its own place there. One
 * row at least, so that the facts come even where nothing has changed.
 */
const PAGE = `WITH ahead AS (SELECT * FROM tasktrack.changes WHERE batch >= $standing ORDER BY batch LIMIT $wanted),
  page AS (
    SELECT a.batch, a.entries FROM (SELECT *, sum(n) OVER (ORDER BY batch) - n AS before FROM ahead) a
    WHERE a.before <= $wanted + $place
  )
  SELECT ${EPOCH}, m.pruned,
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tasktrack.batch) AS drawn, p.batch, p.entries
  FROM tasktrack.meta m LEFT JOIN page p ON true ORDER BY p.batch`;

const END = `SELECT ${EPOCH}, m.pruned, c.batch, c.n
  FROM tasktrack.meta m LEFT JOIN (SELECT batch, n FROM tasktrack.changes ORDER BY batch DESC LIMIT 1) c ON true`;

const WRITERS = `SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = 'tasktrack.changes'::regclass::oid AND objid = 0`;

/** The first read learns the identifier, the second has it. More are needed only where the server is restarted meanwhile. */
const READS_AT_MOST = 5;

type Batch = { readonly number: number; readonly changes: readonly Change[] };

export function createChangeReader(setup: {
  readonly session: Session;
  readonly clock: Clock;
  readonly sql: (text: string) => string;
}) {
  const { session, clock } = setup;
  const [endOf, pageFrom] = [statement(setup.sql(END)), statement(setup.sql(PAGE))];
  const writers = setup.sql(WRITERS);
  let cluster = { startedAt: "", identifier: "" };
  /**
   * Every batch of this epoch up to here is either visible or will never be committed. A promoted standby may assign the same
   * numbers again.
   */
  let final = 0;
  let finalEpoch = "";

  async function changes(after: Position | null, limit: number): Promise<ChangePage> {
    if (after === null) return { kind: "changes", changes: [], position: await end() };
    const page = await readPage(after.rev, limit);
    const isAhead = batchOf(after.rev) > page.drawn;
    if (after.epoch !== page.epoch || after.rev < page.pruned || isAhead) {
      const position = await end();
      return { kind: "gone", position, oldest: { epoch: position.epoch, rev: page.pruned } };
    }
    const isStuck = page.sure.length === 0 && page.seen !== null;
    const sure = isStuck ? await waitAndRead(after.rev, page.seen ?? 0, limit) : page.sure;
    const read = sure.slice(0, limit);
    return {
      kind: "changes",
      changes: read,
      position: { epoch: after.epoch, rev: read.at(-1)?.rev ?? after.rev },
    };
  }

  /** The end as it is seen now, once everything before it is final. */
  async function end(): Promise<Position> {
    const [row] = await readWithEpoch(endOf, {});
    const { epoch, pruned, batch, n } = row ?? {};
    enter(String(epoch));
    if (batch === null) return { epoch: String(epoch), rev: Number(pruned) };
    if (!(await settle(Number(batch)))) {
      throw new TaskError(
        "store_unavailable",
        "The store does not answer: its change log does not come to rest",
      );
    }
    return { epoch: String(epoch), rev: Number(batch) * CHANGES_A_BATCH + Number(n) };
  }

  /** Whoever may still fill the gap right behind the reader is waited for; nothing new where that takes too long. */
  async function waitAndRead(after: number, seen: number, limit: number): Promise<readonly Change[]> {
    if (!(await settle(seen))) return [];
    return (await readPage(after, limit)).sure; // with what was filled meanwhile
  }

  async function readPage(after: number, limit: number) {
    const finalBefore = { epoch: finalEpoch, batch: final }; // a batch that became final later may be missing in the rows that are read now
    const standing = batchOf(after);
    const place = after - standing * CHANGES_A_BATCH;
    const rows = await readWithEpoch(pageFrom, { standing, wanted: limit + 1, place });
    const { epoch, pruned, drawn } = rows[0] ?? {};
    enter(String(epoch));
    const batches = rows.flatMap(({ batch: number, entries }): Batch[] => {
      if (number === null) return [];
      const first = Number(number) * CHANGES_A_BATCH + 1;
      const unread = readEntry(String(entries), first).filter(({ rev }) => rev > after);
      return [{ number: Number(number), changes: unread }];
    });
    return {
      epoch: String(epoch),
      pruned: Number(pruned),
      drawn: Number(drawn),
      sure: takeSure(batches, standing, finalBefore.epoch === epoch ? finalBefore.batch : 0).flatMap(
        (batch) => batch.changes,
      ),
      seen: batches.findLast((batch) => batch.changes.length > 0)?.number ?? null,
    };
  }

  function enter(epoch: string): void {
    if (epoch === finalEpoch) return;
    finalEpoch = epoch;
    final = 0;
  }

  /**
   * Rows with the epoch. A read counts only if its own statement was given the identifier of the server that answered: several reads run
   * at once while the identifier becomes known.
   */
  async function readWithEpoch(
    read: Statement,
    values: Readonly<Record<string, Parameter>>,
  ): Promise<readonly Row[]> {
    for (let tries = 0; tries < READS_AT_MOST; tries++) {
      const asked = cluster;
      const rows = await read(session, { identifier: asked.identifier, ...values });
      if (rows[0]?.started_at === asked.startedAt) return rows;
      const { started_at: startedAt, identifier } = (await session.rows(CLUSTER))[0] ?? {};
      cluster = { startedAt: String(startedAt), identifier: String(identifier) };
    }
    throw new TaskError(
      "store_unavailable",
      "The store does not answer: its connections lead to several servers",
    );
  }

  /**
   * Waits until all who were writing have ended: what they drew, up to a batch that is seen already, is then there or never
   * will be. False when that takes too long.
   */
  async function settle(seen: number): Promise<boolean> {
    if (seen <= final) return true;
    const giveUpAt = clock.monotonic() + WAIT_AT_MOST_MS;
    const before = await writing();
    for (let still = before; still.size > 0; still = (await writing()).intersection(before)) {
      if (clock.monotonic() > giveUpAt) return false;
      await sleep(clock, LOOK_AGAIN_MS);
    }
    final = Math.max(final, seen);
    return true;
  }

  const writing = async (): Promise<ReadonlySet<unknown>> =>
    new Set((await session.rows(writers)).map(({ virtualtransaction }) => virtualtransaction));

  return { changes };
}

const batchOf = (rev: number): number => Math.floor(rev / CHANGES_A_BATCH);

/** The batches before the first gap that may still be filled. The one in which the reader stands is no gap. */
function takeSure(batches: readonly Batch[], standing: number, final: number): readonly Batch[] {
  let expected = standing + 1;
  for (const [at, { number }] of batches.entries()) {
    if (number > expected && number - 1 > final) return batches.slice(0, at);
    expected = number + 1;
  }
  return batches;
}
