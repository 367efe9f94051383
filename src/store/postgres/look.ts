/** The server's time, and in the same statement whether there is work. An idle process sends no other statement every second. */
import { TaskError } from "../../core/error.ts";
import type { Look, LookQuery } from "../store.ts";
import { pgArray } from "./array.ts";
import { isExpiredAt } from "./columns.ts";
import { TOP } from "./documents.ts";
import type { Pool } from "./pool.ts";
import { type Row, statement } from "./statement.ts";

const FACTS = `floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS time,
  current_setting('transaction_read_only') = 'on' AS is_read_only`;

const NOW = `SELECT ${FACTS}`;

const LOOK = `WITH clock AS MATERIALIZED (SELECT ${FACTS})
  SELECT clock.*,
    CASE WHEN cardinality($types::text[]) > 0
      THEN EXISTS (SELECT FROM tasktrack.lane_heads($types::text[]) l WHERE l.run_at <= clock.time) ELSE false END AS is_due,
    CASE WHEN $leases::boolean THEN EXISTS (
      SELECT FROM tasktrack.tasks t WHERE t.status = 'running' AND ${isExpiredAt("clock.time")})
      ELSE true END AS is_expired,
    EXISTS (SELECT FROM tasktrack.notes n
      WHERE n.name >= $prefix AND n.name < $top AND n.until > clock.time) AS has_documents
  FROM clock`;

export function createLook(setup: {
  readonly pool: Pick<Pool, "rows" | "leaveStandby">;
  readonly sql: (text: string) => string;
}) {
  const { pool, sql } = setup;
  const [now, look] = [statement(sql(NOW)), statement(sql(LOOK))];

  function timeIn(row: Row | undefined): number {
    if (row?.is_read_only === true) {
      pool.leaveStandby();
      throw new TaskError("store_unavailable", "PostgreSQL takes no writes: it is a standby, or read-only");
    }
    return Math.floor(Number(row?.time));
  }

  return {
    now: async (): Promise<number> => timeIn((await now(pool))[0]),
    look: async ({ types, leases, documents }: LookQuery): Promise<Look> => {
      const [row] = await look(pool, {
        ...{ types: pgArray(types), leases, prefix: documents, top: documents + TOP },
      });
      return {
        now: timeIn(row),
        isDue: row?.is_due === true,
        isExpired: row?.is_expired === true,
        hasDocuments: row?.has_documents === true,
      };
    },
  };
}
