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

/** The server gives up before we do, so that a slow statement is told apart from a server that is gone. */
const STATEMENT_TIMEOUT_MS = 4_500;
const CALL_TIMEOUT_MS = 5_000;
/** Longer than any pause of a running process, short enough for the transactions that wait for its locks. */
const IDLE_IN_TRANSACTION_MS = 3_000;
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

/**
 * Startup parameters, so that defaults of the database or the role have no effect.
 * The planner's settings: a statement is prepared once and its plan is kept, even if the plan was made while the tables were
 * empty and scans them whole. Until autovacuum analyzed the table, a get took 43 ms and a cancel 125 ms at 200,000 tasks. All
 * statements have an index for their conditions, so the other plans are disabled. Without `jit: off`, the cost that this adds to
 * a statement that must scan would start the JIT compiler.
 */
const SESSION = {
  application_name: "tasktrack",
  statement_timeout: STATEMENT_TIMEOUT_MS,
  idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MS,
  default_transaction_isolation: "read committed",
  enable_seqscan: "off",
  enable_hashjoin: "off",
  enable_mergejoin: "off",
  jit: "off",
};

/** True on a standby, and where the database is set to read-only. */
const IS_READ_ONLY = "SELECT current_setting('transaction_read_only') = 'on'";
const READ_ONLY_STATE = "25006";

const READ_COMMITTED = "isolation level read committed";

/** For one transaction behind a connection pooler, which accepts no startup parameters. */
const LIMIT_TRANSACTION = `SELECT set_config('idle_in_transaction_session_timeout', '${IDLE_IN_TRANSACTION_MS}', true),
  set_config('statement_timeout', '${STATEMENT_TIMEOUT_MS}', true)`;
/** During a migration statements may take long, but a suspended process must not prevent others from starting. */
const LIMIT_MIGRATION = "SELECT set_config('idle_in_transaction_session_timeout', '10000', true)";

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
  let isSilent = false;
  let sql = connect();
  let rebuiltAt = Number.NEGATIVE_INFINITY;
  let listening: { channel: string; hear: (payload: string) => void; ready: () => void } | null = null;
  const places = createSemaphore(options.connections);
  const searchPlaces = createSemaphore(Math.ceil(options.connections / 2));
  const waiting = new Set<AbortController>();

  function connect(): SQL {
    return new SQL(serverUrl, {
      max: options.connections,
      prepare: !isBounced,
      idleTimeout: IDLE_S,
      connectionTimeout: CONNECT_TIMEOUT_S,
      ...(isBounced ? {} : { connection: SESSION }),
    });
  }

  async function probe(): Promise<void> {
    try {
      isIsolated = await readIsolation();
    } catch (error) {
      if (options.bounced !== null || !/unsupported startup parameter/.test(String(error))) throw error;
      isBounced = true;
      await sql.close({ timeout: 0 });
      sql = connect();
      isIsolated = await readIsolation();
    }
  }

  async function isReadOnly(): Promise<boolean> {
    const [row] = await sql.unsafe(IS_READ_ONLY).values();
    return row?.[0] === true;
  }

  async function readIsolation(): Promise<boolean> {
    const [row] = await sql.unsafe("SELECT current_setting('default_transaction_isolation')").values();
    return row?.[0] !== "read committed";
  }

  /**
   * Answers in time or not at all. A call that the server leaves open condemns the connections, and until the server speaks
   * again nobody else is kept waiting for it: who had to wait for that call as well would wait twice as long.
   * The call stops the deadline while no answer of the server is pending, and starts it with the next statement.
   */
  function inTime<T>(call: (sql: SQL, deadline: Deadline) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const deadline = createDeadline(clock, () => {
      reject(unavailable(`no answer within ${CALL_TIMEOUT_MS} ms`));
      if (!isSilent) void awaitWord();
    });
    deadline.start();
    Promise.try(call, sql, deadline).then(resolve, (error: unknown) => {
      if (stateOf(error) === READ_ONLY_STATE) leaveStandby();
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
    const patience = new AbortController();
    const cancelTimer = clock.after(WAIT_FOR_CONNECTION_MS, () => patience.abort());
    waiting.add(patience);
    const release = await semaphore.acquire(patience.signal);
    waiting.delete(patience);
    cancelTimer();
    if (release !== null && !closed && !isSilent) return release;
    release?.();
    refuseIfAway();
    throw tooManyWait();
  }

  function refuseIfAway(): void {
    if (closed) throw unavailable("the store is closed");
    if (isSilent) throw unavailable("PostgreSQL is silent, or takes no writes");
  }

  /** The address may lead to another server by now: reconnects until it leads to one that takes writes. */
  function leaveStandby(): void {
    if (isSilent || closed) return;
    log.warn("store_read_only", {
      message: `PostgreSQL at ${address} is a standby or read-only; connecting until it leads to a primary`,
    });
    void awaitWord();
  }

  /** Asks on new connections until a server that takes writes answers one of them. */
  async function awaitWord(): Promise<void> {
    isSilent = true;
    for (const patience of waiting) patience.abort();
    while (isSilent && !closed) {
      rebuild();
      const asked = isReadOnly().then(
        (isStandby) => !isStandby,
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
      return await own.begin(READ_COMMITTED, async (handle) => {
        await handle.unsafe(LIMIT_MIGRATION);
        return body({
          rows: rowsOf(handle),
          script: async (text) => void (await handle.unsafe(text).simple()),
        });
      });
    } catch (error) {
      throw refusalOf(error);
    } finally {
      await own.close({ timeout: 0 });
    }
  }

  try {
    await probe();
    if (await isReadOnly()) throw takesNoWrites(address);
  } catch (error) {
    await sql.close({ timeout: 0 });
    if (error instanceof TaskError) throw error;
    throw new TaskError("store_unavailable", `STORE_URL: PostgreSQL at ${address}: ${reasonOf(error)}`);
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

const takesNoWrites = (address: string): TaskError =>
  new TaskError(
    "invalid",
    `STORE_URL: PostgreSQL at ${address} is a standby or read-only and takes no writes; name its primary`,
  );

const stateOf = (error: unknown): string =>
  error instanceof SQL.PostgresError ? String(error.errno ?? "") : "";

function refusalOf(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  const state = stateOf(error);
  const message = reasonOf(error);
  return PROVES_ROLLBACK.test(state)
    ? new TaskError("store_rejected", `The store refused the write: ${message}`)
    : unavailable(message);
}
