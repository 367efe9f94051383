import { SQLiteError } from "bun:sqlite";
import { type ErrorCode, isTaskError, TaskError } from "../../core/error.ts";
import type { Fault } from "./calls.ts";

/** What SQLite says only before anything of the statement or the commit is written. */
const NOTHING_WRITTEN = /^SQLITE_(FULL|TOOBIG|CONSTRAINT|MISMATCH)/;

export const isSqliteError = (error: unknown): error is SQLiteError => error instanceof SQLiteError;

/** SQLite's word for what went wrong, such as SQLITE_FULL. */
export const sqliteCode = (error: SQLiteError): string => error.code ?? `SQLITE_${error.errno}`;

const codeOf = (error: SQLiteError): ErrorCode =>
  NOTHING_WRITTEN.test(sqliteCode(error)) ? "store_rejected" : "store_unavailable";

/** What is answered to a call whose transaction was rolled back for this error. */
export function faultOf(error: unknown): Fault {
  if (isTaskError(error)) return { code: error.code, message: error.message };
  if (isSqliteError(error)) {
    return { code: codeOf(error), message: `SQLite: ${error.message} (${sqliteCode(error)})` };
  }
  return { code: "defect", message: error instanceof Error ? (error.stack ?? error.message) : String(error) };
}

/** The fault on the asker's side of the thread. */
export const errorOf = ({ code, message }: Fault): Error =>
  code === "defect" ? new Error(message) : new TaskError(code, message);
