/**
 * The connections to a PostgreSQL, and the only place that speaks to it. Every statement has an end: the server's own
 * timeout first, and a deadline here for a server that does not answer at all; after that the connections are thrown away
 * and made anew, for nobody knows what they still wait for.
 */
import { SQL } from "bun";
import type { Clock } from "../../core/clock.ts";
import { TaskError } from "../../core/error.ts";
import { errorText, type Log } from "../../lib/log.ts";

export type Row = readonly unknown[];

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
  /** Runs the body in one transaction, read committed. */
  transaction<T>(body: (session: Session) => Promise<T>): Promise<T>;
  /** Runs the body in one transaction on a connection of its own, however long it takes: for changes of the schema. */
  patiently<T>(body: (session: ScriptSession) => Promise<T>): Promise<T>;
  /** Whether a bouncer stands between: no notification comes through it, and no prepared statement stays. */
  readonly isBounced: boolean;
  /** Hears notifications for as long as the pool is open; `onReady` is called at the start and after each interruption. */
  listen(channel: string, onNotification: (payload: string) => void, onReady: () => void): Promise<void>;
  /** Where it is, without a password. */
  readonly address: string;
  close(): Promise<void>;
}

export type PoolSetup = { readonly url: string; readonly clock: Clock; readonly log: Log };

/** The server gives up before we do, so that a slow statement is told apart from a server that is gone. */
const STATEMENT_TIMEOUT_MS = 4_500;
const CALL_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_S = 5;
/** How soon a server that was silent is asked again, where it refuses at once. */
const ASK_AGAIN_MS = 250;
/** Lanes of writes, reads and the listener; sixteen processes fit into PostgreSQL's hundred. */
const CONNECTIONS = 5;
const IDLE_S = 300;
/** Joined writes wait in their batches; this bounds what does not, such as lists. */
const CALLS_AT_MOST = 1_000;

/** What our own URL parameters ask for; they are not the server's. */
type Options = { readonly connections: number; readonly bounced: boolean | null };

/** Connects; rejects with words for the operator. */
export async function openPool({ url, clock, log }: PoolSetup): Promise<Pool> {
  const { address, serverUrl, options } = readUrl(url);
  let isBounced = options.bounced ?? false;
  let calls = 0;
  let closed = false;
  let isSilent = false;
  let sql = connect();
  let rebuiltAt = Number.NEGATIVE_INFINITY;
  let listening: { channel: string; hear: (payload: string) => void; ready: () => void } | null = null;

  function connect(): SQL {
    return new SQL(serverUrl, {
      max: options.connections,
      prepare: !isBounced,
      idleTimeout: IDLE_S,
      connectionTimeout: CONNECT_TIMEOUT_S,
      ...(isBounced
        ? {}
        : { connection: { statement_timeout: STATEMENT_TIMEOUT_MS, application_name: "tasktrack" } }),
    });
  }

  async function probe(): Promise<void> {
    try {
      await sql.unsafe("SELECT 1");
    } catch (error) {
      if (options.bounced !== null || !/unsupported startup parameter/.test(String(error))) throw error;
      isBounced = true;
      await sql.close({ timeout: 0 });
      sql = connect();
      await sql.unsafe("SELECT 1");
    }
  }

  /**
   * Answers in time or not at all. A call that the server leaves open condemns the connections, and until the server speaks
   * again nobody else is kept waiting for it: who had to wait for that call as well would wait twice as long.
   */
  function inTime<T>(call: (sql: SQL) => Promise<T>): Promise<T> {
    if (closed) return Promise.reject(unavailable("the store is closed"));
    if (isSilent) return Promise.reject(unavailable("PostgreSQL is silent"));
    if (calls >= CALLS_AT_MOST) {
      return Promise.reject(new TaskError("overloaded", "Too many requests are waiting for the store"));
    }
    calls++;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const cancelTimer = clock.after(CALL_TIMEOUT_MS, () => {
      reject(unavailable(`no answer within ${CALL_TIMEOUT_MS} ms`));
      if (!isSilent) void awaitWord();
    });
    Promise.try(call, sql).then(resolve, (error: unknown) => reject(refusalOf(error)));
    return promise.finally(() => {
      cancelTimer();
      calls--;
    });
  }

  /** Asks on new connections until one of them is answered. */
  async function awaitWord(): Promise<void> {
    isSilent = true;
    while (isSilent && !closed) {
      rebuild();
      const asked = sql.unsafe("SELECT 1").then(
        () => true,
        () => false,
      );
      const isLate = new Promise<false>((resolve) => void clock.after(CALL_TIMEOUT_MS, () => resolve(false)));
      isSilent = !(await Promise.race([asked, isLate]));
      if (isSilent) await new Promise<void>((resolve) => void clock.after(ASK_AGAIN_MS, resolve));
    }
  }

  /** One that was just made deserves its own chance. */
  function rebuild(): void {
    const now = clock.monotonic();
    if (closed || now - rebuiltAt < CALL_TIMEOUT_MS) return;
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
      handle.unsafe(statement, [...parameters]).values();

  /** Bun listens on a connection of its own and subscribes again when it was cut. */
  function subscribe(): void {
    const wish = listening;
    if (wish === null || closed) return;
    const current = sql;
    current.listen(wish.channel, wish.hear, wish.ready).catch((error: unknown) => {
      log.debug("listen_failed", { error: errorText(error) });
      if (!closed && current === sql) clock.after(1_000, subscribe);
    });
  }

  async function patiently<T>(body: (session: ScriptSession) => Promise<T>): Promise<T> {
    const own = new SQL(serverUrl, { max: 1, prepare: false, connectionTimeout: CONNECT_TIMEOUT_S });
    try {
      return await own.begin((handle) =>
        body({ rows: rowsOf(handle), script: async (text) => void (await handle.unsafe(text).simple()) }),
      );
    } catch (error) {
      throw refusalOf(error);
    } finally {
      await own.close({ timeout: 0 });
    }
  }

  try {
    await probe();
  } catch (error) {
    await sql.close({ timeout: 0 });
    throw new TaskError("store_unavailable", `STORE_URL: PostgreSQL at ${address}: ${reasonOf(error)}`);
  }

  return {
    address,
    get isBounced() {
      return isBounced;
    },
    rows: (statement, parameters) => inTime((sql) => rowsOf(sql)(statement, parameters)),
    transaction: (body) => inTime((sql) => sql.begin((handle) => body({ rows: rowsOf(handle) }))),
    patiently,
    listen: async (channel, hear, ready) => {
      listening = { channel, hear, ready };
      subscribe();
    },
    close: async () => {
      if (closed) return;
      closed = true;
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

/** The server's or the client's own words. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";

const unavailable = (reason: string): TaskError =>
  new TaskError("store_unavailable", `The store does not answer: ${reason}`);

/**
 * Faults of the statement or its data, and lost races of locks: the server has undone the whole transaction. Everything
 * else (no connection, a server that is stopping, that is full, or that became read-only) tells nothing of the kind that a
 * second try in halves would help.
 */
const PROVES_ROLLBACK = /^(22|23|40|42|54)/;

function refusalOf(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  const state = error instanceof SQL.PostgresError ? String(error.errno ?? "") : "";
  const message = reasonOf(error);
  return PROVES_ROLLBACK.test(state)
    ? new TaskError("store_rejected", `The store refused the write: ${message}`)
    : unavailable(message);
}
