/** What an error of the server, of the client or of a connection pooler means for a call, in words for the caller or the operator. */
import { SQL } from "bun";
import { TaskError } from "../../core/error.ts";

const NO_RIGHT_STATE = "42501";
const RIGHTS =
  "the role must own the schema and all in it, or have the right to create the schema in the database";
const READ_ONLY_STATE = "25006";
/** A prepared statement that another client of a connection pooler has made under the same name, or that is not there. */
const PREPARED_STATES = /^(42P05|26000)$/;
const PREPARED_WORDS = /bind message supplies \d+ parameters?, but prepared statement/;
/** 08P01 is PgBouncer's state; the others are those of a server that does not know a parameter. */
const PARAMETER_STATES = /^(08P01|42704|22023|0A000)$/;

/** The first line of the message of the server or the client. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split("\n", 1)[0] ?? "";

/** Why the first connection failed, with the cure if the reason does not name it. */
export function startWords(error: unknown): string {
  const reason = reasonOf(error);
  const [, cure] = CURES.find(([words]) => words.test(reason)) ?? [];
  return cure === undefined ? reason : `${reason}; ${cure}`;
}

/** These messages come from the client, so they are in English for any language of the server. */
const CURES: readonly (readonly [words: RegExp, cure: string])[] = [
  [
    /unable to (verify|get)|self.signed/i,
    "sslrootcert=PATH names the certificate of the authority that signed the server's",
  ],
  [/altnames/, "the host must be written as the certificate names it"],
  [/caFile|certFile|keyFile/, "sslrootcert, sslcert or sslkey names a file that cannot be read"],
  [/does not support SSL/, "the server has no TLS; leave out sslmode"],
];

export const unavailable = (reason: string): TaskError =>
  new TaskError("store_unavailable", `The store does not answer: ${reason}`);

export const tooManyWait = (): TaskError =>
  new TaskError("overloaded", "Too many requests are waiting for the store");

/**
 * Faults of the statement or its data, and lost races of locks: the server has undone the whole transaction, so a second try in halves may
 * help. It would not help after the other errors: no connection, a server that is stopping, full or read-only.
 */
const PROVES_ROLLBACK = /^(22|23|40|42|54)/;

export const settingsDropped = (address: string): TaskError =>
  new TaskError(
    "invalid",
    `STORE_URL: PostgreSQL at ${address} did not get the settings of the session, so a connection pooler is in front of it; use pgbouncer=1`,
  );

export const unfitDefaults = (address: string, cures: readonly string[]): TaskError =>
  new TaskError("invalid", `STORE_URL: PostgreSQL at ${address}: ${poolerWords(cures)}`);

export const poolerWords = (cures: readonly string[]): string =>
  `the connection pooler passes no settings on, so the role must have them: ${cures
    .map((cure) => `ALTER ROLE … SET ${cure}`)
    .join("; ")}; then let the pooler connect again`;

export const takesNoWrites = (address: string): TaskError =>
  new TaskError(
    "invalid",
    `STORE_URL: PostgreSQL at ${address} is a standby or read-only and takes no writes; name its primary`,
  );

export const isParameterRefused = (error: unknown): boolean =>
  PARAMETER_STATES.test(stateOf(error)) || /startup parameter/.test(reasonOf(error));

/** PgBouncer's message for a connection with settings that it does not know. */
export const isPoolerRefusal = (error: unknown): boolean =>
  /unsupported startup parameter/.test(reasonOf(error));

export const isPreparedAmiss = (error: unknown): boolean =>
  PREPARED_STATES.test(stateOf(error)) || PREPARED_WORDS.test(reasonOf(error));

/** The server refused a write because it is a standby, or was set to read-only. */
export const isReadOnlyRefusal = (error: unknown): boolean => stateOf(error) === READ_ONLY_STATE;

const stateOf = (error: unknown): string =>
  error instanceof SQL.PostgresError ? String(error.errno ?? "") : "";

export function refusalOf(error: unknown): TaskError {
  if (error instanceof TaskError) return error;
  const state = stateOf(error);
  const message = reasonOf(error);
  if (state === NO_RIGHT_STATE) return new TaskError("store_rejected", `${message}: ${RIGHTS}`);
  return PROVES_ROLLBACK.test(state) || isPreparedAmiss(error)
    ? new TaskError("store_rejected", `The store refused the write: ${message}`)
    : unavailable(isCut(error) ? `${message}; ${MAY_BE_DONE}` : message);
}

export const MAY_BE_DONE = "a write may have been done";

/** The connection ended while an answer was due. */
const isCut = (error: unknown): boolean =>
  error instanceof SQL.PostgresError && error.code === "ERR_POSTGRES_CONNECTION_CLOSED";
