/** The gaps in the sequence of batches: which may still be filled, and the wait until none can be. */
import type { Clock } from "../../core/clock.ts";
import { sleep } from "../../lib/waiting.ts";
import type { Session } from "./statement.ts";

const WRITERS = `SELECT virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND classid = 'tasktrack.changes'::regclass::oid AND objid = 0`;

/** The pause between two reads of the transactions that may fill a gap; a commit takes about that long. */
const LOOK_AGAIN_MS = 2;
/** After this time a reader gets an answer without changes, and reads again from the same position. */
const WAIT_AT_MOST_MS = 5_000;

/**
 * Every batch of this epoch up to this one is either visible or will never be committed. In another epoch, such as that of a promoted
 * standby, the same numbers may be assigned again.
 */
type Settled = { readonly epoch: string; readonly upTo: number };

export function createGaps(setup: {
  readonly session: Session;
  readonly clock: Clock;
  readonly sql: (text: string) => string;
}) {
  const { session, clock } = setup;
  const writers = setup.sql(WRITERS);
  let settled: Settled = { epoch: "", upTo: 0 };

  const writing = async (): Promise<ReadonlySet<unknown>> =>
    new Set((await session.rows(writers)).map(({ virtualtransaction }) => virtualtransaction));

  return {
    settled: (): Settled => settled,

    /** The epoch of the rows that were just read. */
    enter(epoch: string): void {
      if (epoch !== settled.epoch) settled = { epoch, upTo: 0 };
    },

    /**
     * Waits until all transactions that were writing have ended: each batch up to this visible one is then visible or will
     * never be. False if that takes too long.
     */
    async settle(batch: number): Promise<boolean> {
      if (batch <= settled.upTo) return true;
      const giveUpAt = clock.monotonic() + WAIT_AT_MOST_MS;
      const before = await writing();
      for (let still = before; still.size > 0; still = (await writing()).intersection(before)) {
        if (clock.monotonic() > giveUpAt) return false;
        await sleep(clock, LOOK_AGAIN_MS);
      }
      settled = { ...settled, upTo: Math.max(settled.upTo, batch) };
      return true;
    },
  };
}
