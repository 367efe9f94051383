/**
 * The connections to a PostgreSQL: opened, checked, and opened again when the server is silent, read-only or behind a connection pooler that
 * was not noticed before.
 */
import type { SQL } from "bun";
import type { Clock } from "../../core/clock.ts";
import type { TaskError } from "../../core/error.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { sleep, within } from "../../lib/waiting.ts";
import { askSession, connect, openFirst, sessionOn } from "./first-connection.ts";
import { isPoolerRefusal, isPreparedAmiss, isReadOnlyRefusal, poolerWords, unavailable } from "./refusals.ts";
import type { ServerUrl } from "./server-url.ts";
import type { SessionState } from "./settings.ts";

export interface Connections {
  /** The present client; another one after the connections were opened again. */
  readonly sql: SQL;
  /** Whether a connection pooler is in front of the server: no notification passes it, and no prepared statement stays. */
  readonly isBounced: boolean;
  /** Only behind a connection pooler: whether single statements would run in another isolation level than read committed. */
  readonly isIsolated: boolean;
  /** Why a call is refused now; null while the server works. */
  fault(): TaskError | null;
  /** The server did not answer a call in time: the connections are opened again, because their state is unknown. */
  onSilence(): void;
  /** A call failed; the error may say that the server is read-only, or that a connection pooler is in front of it. */
  onError(error: unknown): void;
  /** The server is read-only: calls are refused until the address leads to a server that takes writes. */
  leaveStandby(): void;
  /** Receives notifications until `close`; `onReady` is called at the start and after each interruption. */
  listen(listening: Listening): void;
  close(): Promise<void>;
}

type Listening = {
  readonly channel: string;
  readonly onNotification: (payload: string) => void;
  readonly onReady: () => void;
};

export type ConnectionsSetup = {
  readonly server: ServerUrl;
  readonly clock: Clock;
  readonly log: Log;
  /** Calls are refused from now on. */
  readonly onAway: () => void;
};

/** How long the server may take for an answer. */
export const CALL_TIMEOUT_MS = 5_000;
/** The pause between two checks of a server that refuses at once. */
const ASK_AGAIN_MS = 250;
const LISTEN_AGAIN_MS = 1_000;

const SILENT = "PostgreSQL is silent";
const BEHIND_POOLER = "the connections are opened again for the connection pooler in front of PostgreSQL";
const READ_ONLY = "PostgreSQL is a standby or read-only and takes no writes";
export const WAITS_WORDS = "waits for a synchronous standby (synchronous_standby_names)";
const WAITS_FOR_STANDBY = `PostgreSQL ${WAITS_WORDS}; the last writes may have been done`;

/** Whether a commit of this user waits for a standby for longer than commits usually do. */
const WAITS = `SELECT EXISTS (
  SELECT FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND usename = current_user
    AND wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '2 s') AS waits`;

/** Connects; rejects with a message for the operator. */
export async function openConnections(setup: ConnectionsSetup): Promise<Connections> {
  const { server, clock, log } = setup;
  const { address } = server;
  let { sql, isBounced, isIsolated } = await openFirst(server);
  let isClosed = false;
  /** Why every call is refused until `look` finds that the server works; null while it works. */
  let away: string | null = null;
  let rebuiltAt = Number.NEGATIVE_INFINITY;
  let listening: Listening | null = null;

  /** The address leads to a connection pooler that was not there at the start, or was not noticed. */
  function noticePooler(): void {
    if (isBounced || isClosed) return;
    isBounced = true;
    log.warn("store_behind_pooler", {
      message: `A connection pooler is in front of PostgreSQL at ${address}; add pgbouncer=1 to STORE_URL`,
    });
    rebuild(true);
    if (away === null) void reconnect(BEHIND_POOLER);
  }

  /** The address may lead to another server by now: reconnects until it leads to one that takes writes. */
  function leaveStandby(): void {
    if (away !== null || isClosed) return;
    log.warn("store_read_only", {
      message: `PostgreSQL at ${address} is a standby or read-only; connecting until it leads to a primary`,
    });
    void reconnect(READ_ONLY);
  }

  /**
   * Asks until a server that takes writes answers, on new connections if the last ones led to none. The connections to a
   * server that waits for its standby are kept: each new one would also wait there.
   */
  async function reconnect(reason: string): Promise<void> {
    away = reason;
    setup.onAway();
    while (away !== null && !isClosed) {
      if (away !== WAITS_FOR_STANDBY) rebuild();
      const found = await within(clock, CALL_TIMEOUT_MS, look().catch(silent), SILENT);
      if (found === WAITS_FOR_STANDBY && away !== WAITS_FOR_STANDBY) {
        log.warn("store_waits_for_standby", { message: `PostgreSQL at ${address} ${WAITS_WORDS}` });
      }
      away = found;
      if (away !== null) await sleep(clock, ASK_AGAIN_MS);
    }
  }

  /** Why the server cannot be used; null if it can. */
  async function look(): Promise<string | null> {
    const state = await askSession(sql);
    isIsolated = isBounced && !state.isReadCommitted;
    return faultOf(sql, state, isBounced);
  }

  function silent(error: unknown): string {
    if (isPoolerRefusal(error)) noticePooler();
    return SILENT;
  }

  /** Connections that were opened just now are kept for a while, unless they are known to be of no use. */
  function rebuild(isKnownUseless = false): void {
    const now = clock.monotonic();
    if (isClosed || (!isKnownUseless && now - rebuiltAt < CALL_TIMEOUT_MS)) return;
    rebuiltAt = now;
    log.warn("store_reconnecting", { store: address });
    const condemned = sql;
    sql = connect(server, isBounced);
    condemned
      .close({ timeout: 0 })
      .catch((error: unknown) => log.debug("close_failed", { error: errorText(error) }));
    subscribe();
  }

  /** Bun listens on a connection of its own, and subscribes again when that connection was cut. */
  function subscribe(): void {
    const present = listening;
    if (present === null || isClosed || isBounced) return;
    const current = sql;
    current.listen(present.channel, present.onNotification, present.onReady).catch((error: unknown) => {
      log.debug("listen_failed", { error: errorText(error) });
      if (!isClosed && current === sql) clock.after(LISTEN_AGAIN_MS, subscribe);
    });
  }

  return {
    get sql() {
      return sql;
    },
    get isBounced() {
      return isBounced;
    },
    get isIsolated() {
      return isIsolated;
    },
    fault: () => {
      if (isClosed) return unavailable("the store is closed");
      return away === null ? null : unavailable(away);
    },
    onSilence: () => {
      if (away === null) void reconnect(SILENT);
    },
    onError: (error) => {
      if (isReadOnlyRefusal(error)) leaveStandby();
      if (isPreparedAmiss(error) || isPoolerRefusal(error)) noticePooler();
    },
    leaveStandby,
    listen: (next) => {
      listening = next;
      subscribe();
    },
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      setup.onAway();
      await sql.close({ timeout: 0 }).catch(() => undefined); // calls that still wait are lost, as `close` of the port says
    },
  };
}

async function faultOf(sql: SQL, state: SessionState, isBounced: boolean): Promise<string | null> {
  if (state.isReadOnly) return READ_ONLY;
  if (isBounced && state.cures.length > 0) return poolerWords(state.cures);
  const [row] = await sessionOn(sql).rows(WAITS);
  return row?.waits === true ? WAITS_FOR_STANDBY : null;
}
