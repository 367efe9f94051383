import { SQLiteError } from "bun:sqlite";
import { type ErrorCode, isTaskError, TaskError } from "../../core/error.ts";
import type { Fault } from "./calls.ts";

/** SQLite returns these codes only before anything of the statement or the commit is written. */
const NOTHING_WRITTEN = /^SQLITE_(FULL|TOOBIG|CONSTRAINT|MISMATCH)/;

export const isSqliteError = (error: unknown): error is SQLiteError => error instanceof SQLiteError;

/** The name of SQLite's error code, such as SQLITE_FULL. */
export const sqliteCode = (error: SQLiteError): string => error.code ?? `SQLITE_${error.errno}`;

const codeOf = (error: SQLiteError): ErrorCode =>
  NOTHING_WRITTEN.test(sqliteCode(error)) ? "store_rejected" : "store_unavailable";

/** The answer to a call whose transaction was rolled back because of this error. */
export function faultOf(error: unknown): Fault {
  if (isTaskError(error)) return { code: error.code, message: error.message };
  if (isSqliteError(error)) {
    return { code: codeOf(error), message: `SQLite: ${error.message} (${sqliteCode(error)})` };
  }
  return { code: "defect", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** The error that the caller gets for the fault. */
export const errorOf = ({ code, message }: Fault): Error =>
  code === "defect" ? new Error(message) : new TaskError(code, message);
