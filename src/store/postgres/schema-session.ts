/** The transaction in which the schema is changed. */
import { SQL } from "bun";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { createLoop } from "../../lib/loop.ts";
import { type Connections, WAITS_WORDS } from "./connections.ts";
import { CONNECT_TIMEOUT_S, sessionOn } from "./first-connection.ts";
import { refusalOf } from "./refusals.ts";
import type { ServerUrl } from "./server-url.ts";
import { PATIENT_SESSION, READ_COMMITTED } from "./settings.ts";
import type { Row, Session } from "./statement.ts";

export interface ScriptSession extends Session {
  /** Runs several statements in one go, without parameters. */
  script(text: string): Promise<void>;
}

/** Settings of the role or the database would be in force behind a connection pooler; transaction_timeout exists since 17. */
const LIMIT_MIGRATION = `SELECT pg_backend_pid() AS pid, (
  SELECT count(set_config(name, CASE name WHEN 'idle_in_transaction_session_timeout' THEN '10000' ELSE '0' END, true))
  FROM pg_catalog.pg_settings WHERE name IN
    ('idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout', 'transaction_timeout')) AS settings`;

/** The pause between two queries for the reason of a migration's wait. */
const REPORT_WAITS_MS = 5_000;
const WAITS_FOR = `SELECT wait_event_type AS type, wait_event AS event, array_to_string(pg_blocking_pids(pid), ', ') AS pids
  FROM pg_catalog.pg_stat_activity WHERE pid = $1`;

type Setup = {
  readonly server: ServerUrl;
  readonly connections: Connections;
  readonly clock: Clock;
  readonly log: Log;
};

/** Runs the body in one transaction on a connection of its own, without a time limit. */
export async function inSchemaSession<T>(
  setup: Setup,
  body: (session: ScriptSession) => Promise<T>,
): Promise<T> {
  const own = new SQL(setup.server.url, {
    max: 1,
    prepare: false,
    connectionTimeout: CONNECT_TIMEOUT_S,
    ...(setup.connections.isBounced ? {} : { connection: PATIENT_SESSION }),
  });
  let stopReporting = (): void => undefined;
  try {
    return await own.begin(READ_COMMITTED, async (handle) => {
      const session = sessionOn(handle);
      const [row] = await session.rows(LIMIT_MIGRATION);
      stopReporting = reportWaits(setup, Number(row?.pid));
      return body({ ...session, script: async (text) => void (await handle.unsafe(text).simple()) });
    });
  } catch (error) {
    throw refusalOf(error);
  } finally {
    stopReporting();
    await own.close({ timeout: 0 });
  }
}

/** A migration may wait without an end for other transactions or for a standby: the log says what it waits for. */
function reportWaits({ server, connections, clock, log }: Setup, pid: number): () => void {
  let said = "";
  const reporting = createLoop({
    after: clock.after,
    round: async () => {
      const [row] = await sessionOn(connections.sql).rows(WAITS_FOR, [pid]);
      const message = row === undefined ? "" : waitWords(row, said);
      if (message !== "" && message !== said) {
        log.warn("store_migration_waits", { message: `PostgreSQL at ${server.address} ${message}` });
      }
      said = message;
      return REPORT_WAITS_MS;
    },
    onError: (error) => {
      log.debug("wait_report_failed", { error: errorText(error) });
      return REPORT_WAITS_MS;
    },
  });
  const cancelStart = clock.after(REPORT_WAITS_MS, reporting.start);
  return () => {
    cancelStart();
    void reporting.stop();
  };
}

/** Migrations try to lock a table for a moment at a time, and sleep between the tries. */
const WAITS_FOR_TABLE = "waits for the end of transactions that have locked the table of tasks";

/** A row of WAITS_FOR in words; empty if the process waits for nothing. */
function waitWords({ type, event, pids }: Row, said: string): string {
  if (event === "SyncRep") return WAITS_WORDS;
  if (event === "PgSleep") return said === "" ? WAITS_FOR_TABLE : said;
  return type === "Lock" ? `waits for a lock that is held by process ${pids}` : "";
}
