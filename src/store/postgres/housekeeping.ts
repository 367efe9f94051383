/** Work that the store does by itself, in small pieces: it deletes old and expired rows, and sums up the type counts. */
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { createLoop, type Loop } from "../../lib/loop.ts";
import { CHANGES_A_BATCH } from "./changes.ts";
import type { Session } from "./statement.ts";

const KEPT_CHANGES = 100_000;
const PIECE = 10_000;
const EVERY_MS = 30_000;
const NEXT_PIECE_MS = 100;

/**
 * Deletes the oldest batches that are an hour old and do not hold any of the last hundred thousand changes. One process at a time; the other
 * processes delete nothing meanwhile. Returns the number of deleted batches.
 */
const PRUNE = `WITH mine AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock('tasktrack.meta'::regclass::oid::integer, 0) AS is_mine
  ),
  kept AS (
    SELECT max(batch) AS first FROM (
      SELECT batch, sum(n) OVER (ORDER BY batch DESC) AS behind
      FROM (SELECT batch, n FROM tasktrack.changes ORDER BY batch DESC LIMIT ${KEPT_CHANGES}) latest
    ) counted WHERE behind >= ${KEPT_CHANGES}
  ),
  oldest AS (
    SELECT c.batch, c.at FROM tasktrack.changes c, kept WHERE c.batch < kept.first ORDER BY c.batch LIMIT ${PIECE}
  ),
  pruned AS (
    DELETE FROM tasktrack.changes c USING oldest, mine
    WHERE is_mine AND c.batch = oldest.batch AND oldest.at < now() - interval '1 hour' RETURNING c.batch, c.n
  ),
  noted AS (
    UPDATE tasktrack.meta SET pruned = greatest(pruned, (SELECT max(batch * ${CHANGES_A_BATCH} + n) FROM pruned))
    WHERE EXISTS (SELECT FROM pruned)
  )
  SELECT count(*)::integer AS n FROM pruned`;

/** In one process at a time: the processes take turns by a document that expires before the next round. */
const TURN = "housekeeping";
const TURN_FOR_MS = EVERY_MS * 0.7;
const TAKE_TURN = `SELECT name FROM tasktrack.write_notes(ARRAY['${TURN}'], ARRAY[''],
  ARRAY[floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint + ${TURN_FOR_MS}], ARRAY[0],
  floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) AS name`;

/** Deletes expired rows, the oldest first. Returns their number. */
const forgetOld = (table: string, key: string): string => `WITH gone AS (
    DELETE FROM ${table} WHERE (${key}) IN (
      SELECT ${key} FROM ${table}
      WHERE until < extract(epoch FROM now()) * 1000 ORDER BY until LIMIT ${PIECE} FOR UPDATE SKIP LOCKED)
    RETURNING 1
  )
  SELECT count(*)::integer AS n FROM gone`;

const FORGET = forgetOld("tasktrack.idempotency", "scope, key");
const FORGET_DOCUMENTS = forgetOld("tasktrack.notes", "name");

/** Sums up rows of the type counts; a reader sees either the rows or their sum. Returns by how many rows there are less. */
const SUM_UP = `WITH gone AS (
    DELETE FROM tasktrack.census WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM tasktrack.census LIMIT ${PIECE} FOR UPDATE SKIP LOCKED))
    RETURNING type, status, n
  ),
  summed AS (
    INSERT INTO tasktrack.census (type, status, n)
    SELECT type, status, sum(n) FROM gone GROUP BY type, status HAVING sum(n) <> 0 RETURNING n
  )
  SELECT ((SELECT count(*) FROM gone) - (SELECT count(*) FROM summed))::integer AS n`;

type Done = { readonly deleted: readonly number[]; readonly summed: number };

const longPause = (random: number): number => EVERY_MS * (0.8 + 0.4 * random);

/** The time until the next round: short if a piece was full, so that this round may have left some rows. */
const pause = ({ deleted, summed }: Done, random: number): number =>
  deleted.includes(PIECE) || summed > PIECE / 2 ? NEXT_PIECE_MS : longPause(random);

export type HousekeepingSetup = {
  readonly session: Session;
  readonly sql: (text: string) => string;
  readonly clock: Clock;
  readonly log: Log;
  readonly random: () => number;
};

/** One piece of each kind of work; returns the time until the next round. */
export function createRound({ session, sql, random }: Omit<HousekeepingSetup, "clock" | "log">) {
  const [prune, forget, forgetDocuments, sumUp] = [
    sql(PRUNE),
    sql(FORGET),
    sql(FORGET_DOCUMENTS),
    sql(SUM_UP),
  ];
  const counted = async (statement: string): Promise<number> => Number((await session.rows(statement))[0]?.n);
  return async (): Promise<number> => {
    const deleted: number[] = [];
    for (const statement of [prune, forget, forgetDocuments]) deleted.push(await counted(statement));
    return pause({ deleted, summed: await counted(sumUp) }, random());
  };
}

/** A round, if it is the turn of this process; the turn is kept until there is nothing more to do. */
function createRoundInTurn(setup: HousekeepingSetup) {
  const takeTurn = setup.sql(TAKE_TURN);
  const round = createRound(setup);
  let hasMore = false;
  return async (): Promise<number> => {
    if (!hasMore && (await setup.session.rows(takeTurn)).length === 0) return longPause(setup.random());
    const pauseMs = await round();
    hasMore = pauseMs === NEXT_PIECE_MS;
    return pauseMs;
  };
}

/** The first round waits like any other, so that processes which start together do not all do the same work at their start. */
export const createHousekeeping = (setup: HousekeepingSetup): Loop =>
  createLoop({
    after: setup.clock.after,
    firstAfterMs: longPause(setup.random()),
    round: createRoundInTurn(setup),
    onError: (error) => {
      setup.log.debug("housekeeping_failed", { error: errorText(error) });
      return EVERY_MS;
    },
  });
