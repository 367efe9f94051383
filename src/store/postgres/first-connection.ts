/** A client for a PostgreSQL, and the check of its first session: whether its settings arrive, and whether the server takes writes. */
import { SQL } from "bun";
import { TaskError } from "../../core/error.ts";
import {
  isParameterRefused,
  reasonOf,
  settingsDropped,
  startWords,
  takesNoWrites,
  unfitDefaults,
} from "./refusals.ts";
import type { ServerUrl } from "./server-url.ts";
import { READ_SESSION, readSession, SESSION, type SessionState } from "./settings.ts";
import type { Session } from "./statement.ts";

export const CONNECT_TIMEOUT_S = 5;
const IDLE_S = 300;

export function connect(server: ServerUrl, isBounced: boolean): SQL {
  const pooled = {
    max: server.connections,
    prepare: !isBounced,
    idleTimeout: IDLE_S,
    connectionTimeout: CONNECT_TIMEOUT_S,
  };
  try {
    return new SQL(server.url, isBounced ? pooled : { ...pooled, connection: SESSION });
  } catch (error) {
    throw new TaskError("invalid", `STORE_URL: ${reasonOf(error)}`); // a parameter of the URL that the client refuses
  }
}

/** A session that runs statements on this client, or in this transaction. */
export const sessionOn = (handle: Pick<SQL, "unsafe">): Session => ({
  rows: async (statement, parameters = []) => handle.unsafe(statement, [...parameters]),
});

export const askSession = async (sql: SQL): Promise<SessionState> =>
  readSession((await sessionOn(sql).rows(READ_SESSION))[0] ?? {});

type First = {
  readonly sql: SQL;
  /** Whether a connection pooler is in front of the server. */
  readonly isBounced: boolean;
  /** Only behind a connection pooler: whether single statements would run in another isolation level than read committed. */
  readonly isIsolated: boolean;
};

/** Connects; rejects with a message for the operator. */
export async function openFirst(server: ServerUrl): Promise<First> {
  const direct = connect(server, server.isBounced ?? false);
  try {
    const state = server.isBounced === true ? await askSession(direct) : await askDirectly(direct, server);
    if (state?.isOurs === true) {
      throwIfReadOnly(state, server);
      return { sql: direct, isBounced: server.isBounced ?? false, isIsolated: false };
    }
    if (server.isBounced === false) throw settingsDropped(server.address);
    if (server.isBounced === true) return await checkBounced(direct, server);
  } catch (error) {
    await direct.close({ timeout: 0 });
    throw startError(error, server);
  }
  await direct.close({ timeout: 0 });
  const bounced = connect(server, true);
  try {
    return await checkBounced(bounced, server);
  } catch (error) {
    await bounced.close({ timeout: 0 });
    throw startError(error, server);
  }
}

/** Null if a connection pooler refuses the startup parameters. */
async function askDirectly(sql: SQL, server: ServerUrl): Promise<SessionState | null> {
  try {
    return await askSession(sql);
  } catch (error) {
    if (server.isBounced === null && isParameterRefused(error)) return null;
    throw error;
  }
}

/** Behind a connection pooler the settings are those of the role. */
async function checkBounced(sql: SQL, server: ServerUrl): Promise<First> {
  const state = await askSession(sql);
  if (state.cures.length > 0) throw unfitDefaults(server.address, state.cures);
  throwIfReadOnly(state, server);
  return { sql, isBounced: true, isIsolated: !state.isReadCommitted };
}

function throwIfReadOnly({ isReadOnly }: SessionState, { address }: ServerUrl): void {
  if (isReadOnly) throw takesNoWrites(address);
}

const startError = (error: unknown, { address }: ServerUrl): TaskError =>
  error instanceof TaskError
    ? error
    : new TaskError("store_unavailable", `STORE_URL: PostgreSQL at ${address}: ${startWords(error)}`);
