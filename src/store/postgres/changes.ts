/**
 * Reads the change log so that no commit is ever missed. The changes of one statement are one row, a batch. The numbers of batches come
 * from a sequence, so transactions may commit in another order than the order of their numbers. A reader that sees a gap must not continue before
 * the transaction with the missing number has ended. Every writer holds `gate`, a shared advisory lock, from before it takes a number
 * until it ends. So the holders of that lock are the transactions that may still fill a gap (gaps.ts). A reader does not wait for
 * other long transactions, as it would with the snapshot's horizon. Writers never wait for each other, as they would if numbers
 * were taken under an exclusive lock.
 */
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import { readEntry } from "../changes-text.ts";
import type { Change, ChangePage, Position } from "../store.ts";
import { createEpochReader, EPOCH } from "./epoch.ts";
import { createGaps } from "./gaps.ts";
import { type Session, statement } from "./statement.ts";

/** A rev is the number of its batch times this, plus its place in the batch from 1. Enough for seventeen years of a thousand batches a second. */
export const CHANGES_A_BATCH = 16_384;

/**
 * Reads batches from the batch of the reader's position on, enough for the wanted number of changes after it. There is always one row, so
 * that the facts are returned even if nothing has changed.
 *
 * The start and the limit are in subqueries, so that their values change no plan. Otherwise the server expects a plan for the present values to be
 * cheaper than one that it keeps, and plans each read anew, which takes three times as long as the read.
 */
const PAGE = `WITH ahead AS (
    SELECT * FROM tasktrack.changes WHERE batch >= (SELECT $first::bigint) ORDER BY batch LIMIT (SELECT $wanted::bigint)
  ),
  page AS (
    SELECT a.batch, a.entries FROM (SELECT *, sum(n) OVER (ORDER BY batch) - n AS before FROM ahead) a
    WHERE a.before <= $wanted + $place
  )
  SELECT ${EPOCH}, m.pruned,
    (SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM tasktrack.batch) AS newest, p.batch, p.entries
  FROM tasktrack.meta m LEFT JOIN page p ON true ORDER BY p.batch`;

const END = `SELECT ${EPOCH}, m.pruned, c.batch, c.n
  FROM tasktrack.meta m LEFT JOIN (SELECT batch, n FROM tasktrack.changes ORDER BY batch DESC LIMIT 1) c ON true`;

type Batch = { readonly number: number; readonly changes: readonly Change[] };

export function createChangeReader(setup: {
  readonly session: Session;
  readonly clock: Clock;
  readonly sql: (text: string) => string;
}) {
  const [selectEnd, selectPage] = [statement(setup.sql(END)), statement(setup.sql(PAGE))];
  const readWithEpoch = createEpochReader(setup);
  const gaps = createGaps(setup);

  async function changes(after: Position | null, limit: number): Promise<ChangePage> {
    if (after === null) return { kind: "changes", changes: [], position: await end() };
    const page = await readPage(after.rev, limit);
    const isAhead = batchOf(after.rev) > page.newest;
    if (after.epoch !== page.epoch || after.rev < page.pruned || isAhead) {
      const position = await end();
      return { kind: "gone", position, oldest: { epoch: position.epoch, rev: page.pruned } };
    }
    const isStuck = page.contiguous.length === 0 && page.lastSeen !== null;
    const found = isStuck ? await waitAndRead(after.rev, page.lastSeen ?? 0, limit) : page.contiguous;
    const read = found.slice(0, limit);
    return {
      kind: "changes",
      changes: read,
      position: { epoch: after.epoch, rev: read.at(-1)?.rev ?? after.rev },
    };
  }

  /** The present end, once no gap before it can be filled any more. */
  async function end(): Promise<Position> {
    const [row] = await readWithEpoch(selectEnd);
    const { pruned, batch, n } = row ?? {};
    const epoch = String(row?.epoch);
    gaps.enter(epoch);
    if (batch === null) return { epoch, rev: Number(pruned) };
    if (!(await gaps.settle(Number(batch)))) {
      throw new TaskError(
        "store_unavailable",
        "The store does not answer: open transactions delay the end of its change log",
      );
    }
    return { epoch, rev: Number(batch) * CHANGES_A_BATCH + Number(n) };
  }

  /** Waits for the transactions that may still fill the gap right after the reader's position. Returns no changes if that takes too long. */
  async function waitAndRead(after: number, lastSeen: number, limit: number): Promise<readonly Change[]> {
    if (!(await gaps.settle(lastSeen))) return [];
    return (await readPage(after, limit)).contiguous; // including the batches that were filled meanwhile
  }

  async function readPage(after: number, limit: number) {
    const settledBefore = gaps.settled(); // a batch that is settled later may be missing in the rows that are read now
    const first = batchOf(after);
    const rows = await readWithEpoch(selectPage, {
      ...{ first, place: after - first * CHANGES_A_BATCH, wanted: limit + 1 },
    });
    const epoch = String(rows[0]?.epoch);
    gaps.enter(epoch);
    const batches = rows.flatMap(({ batch, entries }): Batch[] => {
      if (batch === null) return [];
      const number = Number(batch);
      const unread = readEntry(String(entries), number * CHANGES_A_BATCH + 1).filter(
        ({ rev }) => rev > after,
      );
      return [{ number, changes: unread }];
    });
    return {
      epoch,
      pruned: Number(rows[0]?.pruned),
      newest: Number(rows[0]?.newest),
      contiguous: beforeGaps(batches, first, settledBefore.epoch === epoch ? settledBefore.upTo : 0).flatMap(
        (batch) => batch.changes,
      ),
      lastSeen: batches.findLast((batch) => batch.changes.length > 0)?.number ?? null,
    };
  }

  return { changes };
}

const batchOf = (rev: number): number => Math.floor(rev / CHANGES_A_BATCH);

/** The batches before the first gap that may still be filled. The batch of the reader's own position is no gap. */
function beforeGaps(batches: readonly Batch[], first: number, settledUpTo: number): readonly Batch[] {
  let expected = first + 1;
  for (const [at, { number }] of batches.entries()) {
    if (number > expected && number - 1 > settledUpTo) return batches.slice(0, at);
    expected = number + 1;
  }
  return batches;
}
