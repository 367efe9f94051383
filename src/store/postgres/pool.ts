/**
 * The connections to a PostgreSQL, and the only place that speaks to it. Every statement has an end: the server's own
 * timeout first, and a deadline here for a server that does not answer at all; after that all connections are closed
 * and opened again, because their state is unknown. A deadline applies to one statement. The wait for a free connection and the
 * earlier statements of a transaction do not count, because they do not show whether the server answers.
 */
import { SQL } from "bun";
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import { errorText, type Log } from "../../lib/log.ts";
import { createSemaphore, type Semaphore } from "../../lib/semaphore.ts";
import { abortWithin, type LinkedAbort, sleep, within } from "../../lib/waiting.ts";
import {
  LIMIT_TRANSACTION,
  PATIENT_SESSION,
  READ_SESSION,
  readSession,
  SESSION,
  type SessionState,
} from "./session.ts";

/** A row: its values by the names of the columns, each of which must have one. */
export type Row = Readonly<Record<string, unknown>>;

/** What a transaction can do. */
export interface Session {
  /** Runs one statement; parameters are texts, numbers or null, arrays by `pgArray`. */
  rows(statement: string, parameters?: readonly Parameter[]): Promise<readonly Row[]>;
}
export interface ScriptSession extends Session {
  /** Runs several statements in one go, without parameters. */
  script(text: string): Promise<void>;
}
export type Parameter = string | number | boolean | null;

export interface Pool extends Session {
  /** The same for reads that may take long, such as searches: they never occupy all the connections. */
  readonly searches: Session;
  /**
   * Runs the body in one transaction, read committed. If the body sends no next statement for IDLE_IN_TRANSACTION_MS, the server
   * ends the transaction: a process that is suspended there would keep its locks.
   */
  transaction<T>(body: (session: Session) => Promise<T>): Promise<T>;
  /** Runs the body in one transaction on a connection of its own, however long it takes: for changes of the schema. */
  patiently<T>(body: (session: ScriptSession) => Promise<T>): Promise<T>;
  /** Whether a bouncer stands between: no notification comes through it, and no prepared statement stays. */
  readonly isBounced: boolean;
  /** Hears notifications for as long as the pool is open; `onReady` is called at the start and after each interruption. */
  listen(channel: string, onNotification: (payload: string) => void, onReady: () => void): Promise<void>;
  /** The server is read-only: every call is refused until the address leads to a server that takes writes. */
  leaveStandby(): void;
  /** Where it is, without a password. */
  readonly address: string;
  close(): Promise<void>;
}

export type PoolSetup = { readonly url: string; readonly clock: Clock; readonly log: Log };

const CALL_TIMEOUT_MS = 5_000;
/** How long a call waits for a free connection before it is refused. */
const WAIT_FOR_CONNECTION_MS = 5_000;
const CONNECT_TIMEOUT_S = 5;
/** How soon a server that was silent is asked again, where it refuses at once. */
const ASK_AGAIN_MS = 250;
/** For batches of writes, and for reads. Sixteen processes fit into PostgreSQL's default of a hundred connections. */
const CONNECTIONS = 5;
const IDLE_S = 300;
/** Joined writes wait in their batches; this bounds what does not, such as lists. */
const CALLS_AT_MOST = 1_000;

const NO_RIGHT_STATE = "42501";
const RIGHTS =
  "the role must own the schema and all in it, or have the right to create the schema in the database";
const READ_ONLY_STATE = "25006";
/** A prepared statement that another client of a connection pooler has made under the same name, or that is not there. */
const PREPARED_STATES = /^(42P05|26000)$/;
const PREPARED_WORDS = /bind message supplies \d+ parameters?, but prepared statement/;
/** 08P01 is PgBouncer's state; the others are those of a server that does not know a parameter. */
const PARAMETER_STATES = /^(08P01|42704|22023|0A000)$/;

const READ_COMMITTED = "isolation level read committed";

const SILENT = "PostgreSQL is silent";
const BEHIND_POOLER = "the connections are made anew for the connection pooler before PostgreSQL";
const READ_ONLY = "PostgreSQL is a standby or read-only and takes no writes";
const WAITS_WORDS = "waits for a synchronous standby (synchronous_standby_names)";
const WAITS_FOR_STANDBY = `PostgreSQL ${WAITS_WORDS}; the last writes may have been done`;

/** Whether a commit of this user waits for a standby for longer than commits usually do. */
const WAITS = `SELECT EXISTS (
  SELECT FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND usename = current_user
    AND wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '2 s') AS waits`;

/** Settings of the role or the database would be in force behind a connection pooler; transaction_timeout exists since 17. */
const LIMIT_MIGRATION = `SELECT pg_backend_pid() AS pid, (
  SELECT count(set_config(name, CASE name WHEN 'idle_in_transaction_session_timeout' THEN '10000' ELSE '0' END, true))
  FROM pg_catalog.pg_settings WHERE name IN
    ('idle_in_transaction_session_timeout', 'statement_timeout', 'lock_timeout', 'transaction_timeout')) AS settings`;
/** How soon the log says what a migration waits for. */
const REPORT_WAITS_MS = 5_000;
const WAITS_FOR = `SELECT wait_event_type AS type, wait_event AS event, array_to_string(pg_blocking_pids(pid), ', ') AS pids
  FROM pg_catalog.pg_stat_activity WHERE pid = $1`;

/** What our own URL parameters ask for; they are not the server's. */
type Options = { readonly connections: number; readonly bounced: boolean | null };

/** Connects; rejects with words for the operator. */
export async function openPool({ url, clock, log }: PoolSetup): Promise<Pool> {
  const { address, serverUrl, options } = readUrl(url);
  let isBounced = options.bounced ?? false;
  /** Only behind a connection pooler: whether single statements would run in another isolation level than read committed. */
  let isIsolated = false;
  let calls = 0;
  let closed = false;
  /** Why every call is refused until `look` finds that the server works; null while it does. */
  let away: string | null = null;
  let sql = connect();
  let rebuiltAt = Number.NEGATIVE_INFINITY;
  let listening: { channel: string; hear: (payload: string) => void; ready: () => void } | null = null;
  const places = createSemaphore(options.connections);
  const searchPlaces = createSemaphore(Math.ceil(options.connections / 2));
  const waiting = new Set<LinkedAbort>();

  function connect(): SQL {
    const pooled = {
      max: options.connections,
      prepare: !isBounced,
      idleTimeout: IDLE_S,
      connectionTimeout: CONNECT_TIMEOUT_S,
    };
    try {
      return new SQL(serverUrl, isBounced ? pooled : { ...pooled, connection: SESSION });
    } catch (error) {
      throw new TaskError("invalid", `STORE_URL: ${reasonOf(error)}`); // a parameter of the URL that the client refuses
    }
  }

  const askSession = async (): Promise<SessionState> =>
    readSession((await rowsOf(sql)(READ_SESSION))[0] ?? {});

  /** The state of a new session. Goes on without startup parameters where a connection pooler refuses or drops them. */
  async function probe(): Promise<SessionState> {
    const found = isBounced ? await askSession() : await askDirectly();
    if (found?.isOurs === true) return found;
    if (options.bounced === false) throw settingsDropped(address);
    if (!isBounced) {
      isBounced = true;
      await sql.close({ timeout: 0 });
      sql = connect();
    }
    const state = await askSession();
    if (state.cures.length > 0) throw unfitDefaults(address, state.cures);
    isIsolated = !state.isReadCommitted;
    return state;
  }

  /** Null where the startup parameters are refused. */
  async function askDirectly(): Promise<SessionState | null> {
    try {
      return await askSession();
    } catch (error) {
      if (options.bounced === null && isParameterRefused(error)) return null;
      throw error;
    }
  }

  /** The address leads to a connection pooler that was not there at the start, or was not noticed. */
  function noticePooler(): void {
    if (isBounced || closed) return;
    isBounced = true;
    log.warn("store_behind_pooler", {
      message: `A connection pooler stands before PostgreSQL at ${address}; add pgbouncer=1 to STORE_URL`,
    });
    rebuild(true);
    if (away === null) void awaitWord(BEHIND_POOLER);
  }

  /**
   * Answers in time or not at all. A call that the server leaves open condemns the connections, and until the server speaks
   * again nobody else is kept waiting for it: who had to wait for that call as well would wait twice as long.
   * The call stops the deadline while no answer of the server is pending, and starts it with the next statement.
   */
  function inTime<T>(call: (sql: SQL, deadline: Deadline) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const deadline = createDeadline(clock, () => {
      reject(unavailable(`no answer within ${CALL_TIMEOUT_MS} ms; ${MAY_BE_DONE}`));
      if (away === null) void awaitWord(SILENT);
    });
    deadline.start();
    Promise.try(call, sql, deadline).then(resolve, (error: unknown) => {
      if (stateOf(error) === READ_ONLY_STATE) leaveStandby();
      if (isPreparedAmiss(error) || isPoolerRefusal(error)) noticePooler();
      reject(refusalOf(error));
    });
    return promise.finally(deadline.stop);
  }

  /** Runs the call when a connection is free. Refuses it at once where too many calls wait or the server does not answer. */
  async function onConnection<T>(
    call: (sql: SQL, deadline: Deadline) => Promise<T>,
    kind: "search" | "other" = "other",
  ): Promise<T> {
    refuseIfAway();
    if (calls >= CALLS_AT_MOST) throw tooManyWait();
    calls++;
    const releases: (() => void)[] = [];
    try {
      if (kind === "search") releases.push(await placeIn(searchPlaces));
      releases.push(await placeIn(places));
      return await inTime(call);
    } finally {
      calls--;
      for (const release of releases) release();
    }
  }

  async function placeIn(semaphore: Semaphore): Promise<() => void> {
    const patience = abortWithin(clock, WAIT_FOR_CONNECTION_MS);
    waiting.add(patience);
    const release = await semaphore.acquire(patience.signal);
    waiting.delete(patience);
    patience.unlink();
    if (release !== null && !closed && away === null) return release;
    release?.();
    refuseIfAway();
    throw tooManyWait();
  }

  function refuseIfAway(): void {
    if (closed) throw unavailable("the store is closed");
    if (away !== null) throw unavailable(away);
  }

  /** The address may lead to another server by now: reconnects until it leads to one that takes writes. */
  function leaveStandby(): void {
    if (away !== null || closed) return;
    log.warn("store_read_only", {
      message: `PostgreSQL at ${address} is a standby or read-only; connecting until it leads to a primary`,
    });
    void awaitWord(READ_ONLY);
  }

  /**
   * Asks until a server that takes writes answers, on new connections where the last ones led to none. The connections to a
   * server that waits for its standby are kept: each new one would end up waiting there as well.
   */
  async function awaitWord(reason: string): Promise<void> {
    away = reason;
    for (const patience of waiting) patience.abort();
    while (away !== null && !closed) {
      if (away !== WAITS_FOR_STANDBY) rebuild();
      const found = await within(clock, CALL_TIMEOUT_MS, look().catch(silent), SILENT);
      if (found === WAITS_FOR_STANDBY && away !== WAITS_FOR_STANDBY) {
        log.warn("store_waits_for_standby", { message: `PostgreSQL at ${address} ${WAITS_WORDS}` });
      }
      away = found;
      if (away !== null) await sleep(clock, ASK_AGAIN_MS);
    }
  }

  /** Why the server does not serve; null where it does. */
  async function look(): Promise<string | null> {
    const state = await askSession();
    if (state.isReadOnly) return READ_ONLY;
    if (isBounced && state.cures.length > 0) return poolerWords(state.cures);
    isIsolated = isBounced && !state.isReadCommitted;
    const [row] = await rowsOf(sql)(WAITS);
    return row?.waits === true ? WAITS_FOR_STANDBY : null;
  }

  function silent(error: unknown): string {
    if (isPoolerRefusal(error)) noticePooler();
    return SILENT;
  }

  /** Connections that were just made get their own chance, unless they are known to be of no use. */
  function rebuild(isKnownUseless = false): void {
    const now = clock.monotonic();
    if (closed || (!isKnownUseless && now - rebuiltAt < CALL_TIMEOUT_MS)) return;
    rebuiltAt = now;
    log.warn("store_reconnecting", { store: address });
    const condemned = sql;
    sql = connect();
    condemned
      .close({ timeout: 0 })
      .catch((error: unknown) => log.debug("close_failed", { error: errorText(error) }));
    if (listening !== null) subscribe();
  }

  const rowsOf =
    (handle: Pick<SQL, "unsafe">): Session["rows"] =>
    async (statement, parameters = []) =>
      handle.unsafe(statement, [...parameters]);

  const single =
    (kind: "search" | "other"): Session["rows"] =>
    (statement, parameters) =>
      isIsolated
        ? transaction((session) => session.rows(statement, parameters), kind)
        : onConnection((sql) => rowsOf(sql)(statement, parameters), kind);

  function transaction<T>(
    body: (session: Session) => Promise<T>,
    kind: "search" | "other" = "other",
  ): Promise<T> {
    return onConnection(
      (sql, deadline) =>
        sql.begin(READ_COMMITTED, async (handle) => {
          deadline.stop();
          const send: Session["rows"] = async (statement, parameters) => {
            deadline.start();
            const rows = await rowsOf(handle)(statement, parameters);
            deadline.stop();
            return rows;
          };
          if (isBounced) await send(LIMIT_TRANSACTION);
          const answer = await body({ rows: send });
          deadline.start(); // for the commit
          return answer;
        }),
      kind,
    );
  }

  /** Bun listens on a connection of its own and subscribes again when it was cut. */
  function subscribe(): void {
    const wish = listening;
    if (wish === null || closed || isBounced) return;
    const current = sql;
    current.listen(wish.channel, wish.hear, wish.ready).catch((error: unknown) => {
      log.debug("listen_failed", { error: errorText(error) });
      if (!closed && current === sql) clock.after(1_000, subscribe);
    });
  }

  async function patiently<T>(body: (session: ScriptSession) => Promise<T>): Promise<T> {
    const own = new SQL(serverUrl, {
      max: 1,
      prepare: false,
      connectionTimeout: CONNECT_TIMEOUT_S,
      ...(isBounced ? {} : { connection: PATIENT_SESSION }),
    });
    let stopWatching = (): void => undefined;
    try {
      return await own.begin(READ_COMMITTED, async (handle) => {
        const [row] = await rowsOf(handle)(LIMIT_MIGRATION);
        stopWatching = reportWaits(Number(row?.pid));
        return body({
          rows: rowsOf(handle),
          script: async (text) => void (await handle.unsafe(text).simple()),
        });
      });
    } catch (error) {
      throw refusalOf(error);
    } finally {
      stopWatching();
      await own.close({ timeout: 0 });
    }
  }

  /** A migration may wait for others, or for a standby, without an end: the log says what for. */
  function reportWaits(pid: number): () => void {
    let cancelTimer = (): void => undefined;
    let said = "";
    const look = async (): Promise<void> => {
      const [row] = await rowsOf(sql)(WAITS_FOR, [pid]).catch((): Row[] => []);
      const message = row === undefined ? "" : waitWords(row);
      if (message !== "" && message !== said) {
        log.warn("store_migration_waits", { message: `PostgreSQL at ${address} ${message}` });
      }
      said = message;
      again();
    };
    const again = (): void => {
      if (!isOver) cancelTimer = clock.after(REPORT_WAITS_MS, () => void look());
    };
    let isOver = false;
    again();
    return () => {
      isOver = true;
      cancelTimer();
    };
  }

  try {
    if ((await probe()).isReadOnly) throw takesNoWrites(address);
  } catch (error) {
    await sql.close({ timeout: 0 });
    if (error instanceof TaskError) throw error;
    throw new TaskError("store_unavailable", `STORE_URL: PostgreSQL at ${address}: ${startWords(error)}`);
  }

  return {
    address,
    leaveStandby,
    get isBounced() {
      return isBounced;
    },
    rows: single("other"),
    searches: { rows: single("search") },
    transaction: (body) => transaction(body),
    patiently,
    listen: async (channel, hear, ready) => {
      listening = { channel, hear, ready };
      subscribe();
    },
    close: async () => {
      if (closed) return;
      closed = true;
      for (const patience of waiting) patience.abort();
      await sql.close({ timeout: 0 }).catch(() => undefined); // what it still waited for is lost, as `close` says
    },
  };
}

function readUrl(text: string): { address: string; serverUrl: string; options: Options } {
  const url = URL.parse(text);
  if (url === null) throw new TaskError("invalid", "STORE_URL is no URL");
  const take = (name: string): string | null => {
    const value = url.searchParams.get(name);
    url.searchParams.delete(name);
    return value;
  };
  take("schema");
  const connections = Number(take("connections") ?? CONNECTIONS);
  const bouncer = take("pgbouncer");
  if (!Number.isInteger(connections) || connections < 1 || connections > 1_000) {
    throw new TaskError("invalid", "STORE_URL: connections must be a whole number from 1 to 1000");
  }
  return {
    address: `${url.host}${url.pathname}`,
    serverUrl: url.href,
    options: { connections, bounced: bouncer === null ? null : bouncer === "1" || bouncer === "true" },
  };
}

type Deadline = { start(): void; stop(): void };

function createDeadline(clock: Clock, onLate: () => void): Deadline {
  let cancelTimer = (): void => undefined;
  const stop = (): void => cancelTimer();
  const start = (): void => {
    stop();
    cancelTimer = clock.after(CALL_TIMEOUT_MS, onLate);
  };
  return { start, stop };
}

/** The server's or the client's own words. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";

/** Why the first connection failed, with what helps where the reason alone does not say it. */
function startWords(error: unknown): string {
  const reason = reasonOf(error);
  const [, cure] = CURES.find(([words]) => words.test(reason)) ?? [];
  return cure === undefined ? reason : `${reason}; ${cure}`;
}

/** These words are the client's own, so they are in English whatever the server's language is. */
const CURES: readonly (readonly [words: RegExp, cure: string])[] = [
  [
    /unable to (verify|get)|self.signed/i,
    "sslrootcert=PATH names the certificate of the authority that signed the server's",
  ],
  [/altnames/, "the host must be written as the certificate names it"],
  [/caFile|certFile|keyFile/, "sslrootcert, sslcert or sslkey names a file that cannot be read"],
  [/does not support SSL/, "the server has no TLS; leave out sslmode"],
];

const unavailable = (reason: string): TaskError =>
  new TaskError("store_unavailable", `The store does not answer: ${reason}`);

const tooManyWait = (): TaskError =>
  new TaskError("overloaded", "Too many requests are waiting for the store");

/**
 * Faults of the statement or its data, and lost races of locks: the server has undone the whole transaction. Everything
 * else (no connection, a server that is stopping, that is full, or that became read-only) tells nothing of the kind that a
 * second try in halves would help.
 */
const PROVES_ROLLBACK = /^(22|23|40|42|54)/;

const settingsDropped = (address: string): TaskError =>
  new TaskError(
    "invalid",
    `STORE_URL: PostgreSQL at ${address} did not get the settings of the session, so a connection pooler stands before it; use pgbouncer=1`,
  );

const unfitDefaults = (address: string, cures: readonly string[]): TaskError =>
  new TaskError("invalid", `STORE_URL: PostgreSQL at ${address}: ${poolerWords(cures)}`);

const poolerWords = (cures: readonly string[]): string =>
  `the connection pooler passes no settings on, so the role must have them: ${cures
    .map((cure) => `ALTER ROLE … SET ${cure}`)
    .join("; ")}; then let the pooler connect anew`;

/** In words what a row of WAITS_FOR says; empty where it waits for nothing. */
function waitWords({ type, event, pids }: Row): string {
  if (event === "SyncRep") return WAITS_WORDS;
  return type === "Lock" ? `waits for a lock that is held by process ${pids}` : "";
}

const takesNoWrites = (address: string): TaskError =>
  new TaskError(
    "invalid",
    `STORE_URL: PostgreSQL at ${address} is a standby or read-only and takes no writes; name its primary`,
  );

const isParameterRefused = (error: unknown): boolean =>
  PARAMETER_STATES.test(stateOf(error)) || /startup parameter/.test(reasonOf(error));

/** PgBouncer's words for a connection with settings that it does not know. */
const isPoolerRefusal = (error: unknown): boolean => /unsupported startup parameter/.test(reasonOf(error));

const isPreparedAmiss = (error: unknown): boolean =>
  PREPARED_STATES.test(stateOf(error)) || PREPARED_WORDS.test(reasonOf(error));

const stateOf = (error: unknown): string =>
  error instanceof SQL.PostgresError ? String(error.errno ?? "") : "";

function refusalOf(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  const state = stateOf(error);
  const message = reasonOf(error);
  if (state === NO_RIGHT_STATE) return new TaskError("store_rejected", `${message}: ${RIGHTS}`);
  return PROVES_ROLLBACK.test(state) || isPreparedAmiss(error)
    ? new TaskError("store_rejected", `The store refused the write: ${message}`)
    : unavailable(isCut(error) ? `${message}; ${MAY_BE_DONE}` : message);
}

const MAY_BE_DONE = "what was asked for may have been done";

/** The connection ended while an answer was due. */
const isCut = (error: unknown): boolean =>
  error instanceof SQL.PostgresError && error.code === "ERR_POSTGRES_CONNECTION_CLOSED";
