/** The epoch of the change log, which each read of the log returns with its rows. */
import { TaskError } from "../../core/error.ts";
import type { Row, Session, Statement, Values } from "./statement.ts";

/**
 * For a select list over tasktrack.meta `m`. The epoch identifies this copy of the data. Restoring a dump creates the tables again with other
 * oids, or with other files if only the rows were restored. A copy of the database has another database oid. Another cluster has
 * another system identifier, which is a parameter. A promoted standby, or a restore to a point in time, has another timeline.
 */
export const EPOCH = `(SELECT md5(concat_ws(' ', m.epoch, $identifier::text, d.oid, d.datname, 'tasktrack.meta'::regclass::oid,
    pg_relation_filenode('tasktrack.meta'), substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)))
  FROM tasktrack.meta m, pg_database d WHERE d.datname = current_database()) AS epoch, pg_postmaster_start_time()::text AS started_at`;

/**
 * The system identifier is read from a file, which takes four times as long as the rest of a read. It can only change with a
 * restart of the server.
 */
const CLUSTER = `SELECT pg_postmaster_start_time()::text AS started_at, system_identifier::text AS identifier FROM pg_control_system()`;

/** The first read finds the identifier, the second uses it. More are needed only if the server is restarted meanwhile. */
const READS_AT_MOST = 5;

/** Runs statements that select EPOCH, with the system identifier. */
export function createEpochReader({ session }: { readonly session: Session }) {
  let cluster = { startedAt: "", identifier: "" };

  /**
   * A read counts only if its own statement was given the identifier of the server that answered: several reads run at once while the
   * identifier becomes known.
   */
  return async function readWithEpoch(read: Statement, values: Values = {}): Promise<readonly Row[]> {
    for (let tries = 0; tries < READS_AT_MOST; tries++) {
      const asked = cluster;
      const rows = await read(session, { identifier: asked.identifier, ...values });
      if (rows[0]?.started_at === asked.startedAt) return rows;
      const [found] = await session.rows(CLUSTER);
      cluster = { startedAt: String(found?.started_at), identifier: String(found?.identifier) };
    }
    throw new TaskError(
      "store_unavailable",
      "The store does not answer: its connections lead to several servers",
    );
  };
}
