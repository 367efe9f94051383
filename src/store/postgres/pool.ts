/**
 * The calls to a PostgreSQL. Every statement has an end: the server's own timeout first, and a deadline here for a server that does not answer
 * at all; after that all connections are closed and opened again, because their state is unknown. A deadline applies to one statement. The
 * wait for a free connection and the earlier statements of a transaction do not count, because they do not show whether the server answers.
 */
import type { SQL } from "bun";
import type { Clock } from "../../core/clock.ts";
import type { TaskError } from "../../core/error.ts";
import type { Log } from "../../lib/log.ts";
import { createSemaphore, type Semaphore } from "../../lib/semaphore.ts";
import { abortWithin, type LinkedAbort } from "../../lib/waiting.ts";
import { CALL_TIMEOUT_MS, type Connections, openConnections } from "./connections.ts";
import { sessionOn } from "./first-connection.ts";
import { MAY_BE_DONE, refusalOf, tooManyWait, unavailable } from "./refusals.ts";
import { inSchemaSession, type ScriptSession } from "./schema-session.ts";
import { readServerUrl } from "./server-url.ts";
import { LIMIT_TRANSACTION, READ_COMMITTED } from "./settings.ts";
import type { Session } from "./statement.ts";

export interface Pool extends Session {
  /** The same for reads that may take long, such as searches: they never occupy all the connections. */
  readonly searches: Session;
  /**
   * Runs the body in one transaction, read committed. If the body sends no next statement for IDLE_IN_TRANSACTION_MS, the server
   * ends the transaction: a process that is suspended there would keep its locks.
   */
  transaction<T>(body: (session: Session) => Promise<T>): Promise<T>;
  /** Runs the body in one transaction on a connection of its own, without a time limit: for changes of the schema. */
  patiently<T>(body: (session: ScriptSession) => Promise<T>): Promise<T>;
  /** Whether a connection pooler is in front of the server: no notification passes it, and no prepared statement stays. */
  readonly isBounced: boolean;
  /** Receives notifications until `close`; `onReady` is called at the start and after each interruption. */
  listen: Connections["listen"];
  /** The server is read-only: every call is refused until the address leads to a server that takes writes. */
  leaveStandby(): void;
  /** The server and the database, without a password. */
  readonly address: string;
  close(): Promise<void>;
}

export type PoolSetup = { readonly url: string; readonly clock: Clock; readonly log: Log };

/**
 * How long a call waits for a free connection before it is refused. It is longer than the deadline of a statement: if the server does not answer,
 * the statements that hold the connections show it first, and the waiting calls are refused for that reason, not as too many.
 */
const WAIT_FOR_CONNECTION_MS = CALL_TIMEOUT_MS + 1_000;
/** Batched writes wait in their batches; this bounds the other calls, such as lists. */
const CALLS_AT_MOST = 1_000;

type Kind = "search" | "other";

/** Connects; rejects with a message for the operator. */
export async function openPool({ url, clock, log }: PoolSetup): Promise<Pool> {
  const server = readServerUrl(url);
  const places = createSemaphore(server.connections);
  const searchPlaces = createSemaphore(Math.ceil(server.connections / 2));
  const waiting = new Set<LinkedAbort>();
  let calls = 0;
  const connections = await openConnections({
    ...{ server, clock, log },
    onAway: () => {
      for (const wait of waiting) wait.abort();
    },
  });

  /**
   * Runs the call with a deadline. If the server does not answer in time, all connections are closed, and until the server answers again other
   * calls are refused at once: a call that waited for the end of this one as well would wait twice as long.
   * The call stops the deadline while no answer of the server is pending, and starts it with the next statement.
   */
  function inTime<T>(call: (sql: SQL, deadline: Deadline) => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const deadline = createDeadline(clock, () => {
      reject(unavailable(`no answer within ${CALL_TIMEOUT_MS} ms; ${MAY_BE_DONE}`));
      connections.onSilence();
    });
    deadline.start();
    Promise.try(call, connections.sql, deadline).then(resolve, (error: unknown) => {
      connections.onError(error);
      reject(refusalOf(error));
    });
    return promise.finally(deadline.stop);
  }

  /** Runs the call when a connection is free. Refuses it at once if too many calls wait or the server does not answer. */
  async function onConnection<T>(kind: Kind, call: (sql: SQL, deadline: Deadline) => Promise<T>): Promise<T> {
    throwIf(connections.fault());
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
    const wait = abortWithin(clock, WAIT_FOR_CONNECTION_MS);
    waiting.add(wait);
    const release = await semaphore.acquire(wait.signal);
    waiting.delete(wait);
    wait.unlink();
    const fault = connections.fault();
    if (release !== null && fault === null) return release;
    release?.();
    throw fault ?? tooManyWait();
  }

  const single =
    (kind: Kind): Session["rows"] =>
    (statement, parameters) =>
      connections.isIsolated
        ? transaction(kind, (session) => session.rows(statement, parameters))
        : onConnection(kind, (sql) => sessionOn(sql).rows(statement, parameters));

  const transaction = <T>(kind: Kind, body: (session: Session) => Promise<T>): Promise<T> =>
    onConnection(kind, (sql, deadline) =>
      sql.begin(READ_COMMITTED, async (handle) => {
        deadline.stop();
        const session = sessionOn(handle);
        const send: Session["rows"] = async (statement, parameters) => {
          deadline.start();
          const rows = await session.rows(statement, parameters);
          deadline.stop();
          return rows;
        };
        if (connections.isBounced) await send(LIMIT_TRANSACTION);
        const answer = await body({ rows: send });
        deadline.start(); // for the commit
        return answer;
      }),
    );

  return {
    address: server.address,
    leaveStandby: connections.leaveStandby,
    get isBounced() {
      return connections.isBounced;
    },
    rows: single("other"),
    searches: { rows: single("search") },
    transaction: (body) => transaction("other", body),
    patiently: (body) => inSchemaSession({ server, connections, clock, log }, body),
    listen: connections.listen,
    close: connections.close,
  };
}

function throwIf(fault: TaskError | null): void {
  if (fault !== null) throw fault;
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
