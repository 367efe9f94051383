/**
 * Opens the file and holds it: SQLite's exclusive lock excludes every other process, and every other store of this process, until the
 * file is closed or the process has ended. Never open the file by other means in this process: closing such a handle would release the
 * lock, as POSIX locks do. Here only the file's name is used.
 */
import { Database } from "bun:sqlite";
import { existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { TaskError } from "../../core/error.ts";
import { type MigrationPlan, planMigrations } from "../migrations.ts";
import { MIGRATIONS } from "./migrations.ts";
import { isSqliteError, sqliteCode } from "./refusals.ts";

/** In the header of a file: the program that it belongs to, "task". */
const APPLICATION_ID = 0x7461736b;

/** Pages in memory, kibibytes. A claim or a get on a million tasks then seldom reads the disk. */
const CACHE_KIB = 65_536;
/** The size to which a larger write-ahead log is cut, bytes. */
const LOG_KEPT_BYTES = 64 * 1_048_576;
/** Prepared statements that are kept; there is one for each mix of filters and of changed fields. */
Database.MAX_QUERY_CACHE_SIZE = 200;

/** The path in a STORE_URL. */
export const pathOf = (url: string): string => url.slice("sqlite:".length);

/** Opens the file, new or old, with the schema brought up to date. Throws with a message for the operator. */
export function openDatabase(path: string): Database {
  const db = lockDatabase(path);
  try {
    applyMigrations(db, planOf(db, path));
    return db;
  } catch (error) {
    db.close(true);
    throw refusal(path, error);
  }
}

/** What `openDatabase` would do to the schema; with `apply` it is done. Without `apply` no file is created. */
export function migrateDatabase(path: string, apply: boolean): MigrationPlan {
  if (!apply && !existsSync(resolve(path))) {
    demandPlace(path);
    return planMigrations(0, MIGRATIONS);
  }
  const db = lockDatabase(path);
  try {
    const plan = planOf(db, path);
    if (apply) applyMigrations(db, plan);
    return plan;
  } catch (error) {
    throw refusal(path, error);
  } finally {
    db.close(true);
  }
}

function lockDatabase(path: string): Database {
  demandPlace(path);
  let db: Database | null = null;
  try {
    // A resolved path is never one of SQLite's special names (":memory:", "file:…").
    db = new Database(resolve(path), { readwrite: true, create: true, strict: true });
    lock(db, path);
    return db;
  } catch (error) {
    db?.close(true);
    throw refusal(path, error);
  }
}

function lock(db: Database, path: string): void {
  db.run("PRAGMA busy_timeout = 0"); // waiting is no use: a process that holds the file keeps it for long
  db.run("PRAGMA locking_mode = EXCLUSIVE"); // before the first read, so that the index of the log needs no shared memory
  const mode = db.query<{ journal_mode: string }, []>("PRAGMA journal_mode = WAL").get()?.journal_mode;
  if (mode !== "wal") throw unfit(path, `cannot have a write-ahead log there (journal mode ${mode})`);
  db.run("PRAGMA synchronous = FULL");
  db.run("PRAGMA wal_autocheckpoint = 0"); // thread-entry.ts does so when no call waits
  db.run(`PRAGMA journal_size_limit = ${LOG_KEPT_BYTES}`);
  db.run(`PRAGMA cache_size = -${CACHE_KIB}`);
  db.run("PRAGMA temp_store = MEMORY");
  db.run("BEGIN EXCLUSIVE");
  db.run("COMMIT"); // locking_mode keeps the lock that this took
}

function planOf(db: Database, path: string): MigrationPlan {
  const current = pragma(db, "user_version");
  if (pragma(db, "application_id") !== APPLICATION_ID && (current !== 0 || hasTables(db))) {
    throw unfit(path, "is a SQLite database of another program");
  }
  return planMigrations(current, MIGRATIONS);
}

/** The schema's number is the file's user_version: it can be read before there is a table, and changes in the same commit. */
function applyMigrations(db: Database, { pending }: MigrationPlan): void {
  const last = pending.at(-1);
  if (last === undefined) return;
  db.run("BEGIN IMMEDIATE");
  for (const { text } of pending) db.run(text);
  db.run(`PRAGMA application_id = ${APPLICATION_ID}`);
  db.run(`PRAGMA user_version = ${last.number}`);
  db.run("COMMIT");
}

const pragma = (db: Database, name: "user_version" | "application_id"): number =>
  Number(db.query<Record<string, number>, []>(`PRAGMA ${name}`).get()?.[name]);

const hasTables = (db: Database): boolean => db.query("SELECT 1 FROM sqlite_master LIMIT 1").get() !== null;

/** SQLite has one error code for all of these. */
function demandPlace(path: string): void {
  const whole = resolve(path);
  const folder = statSync(dirname(whole), { throwIfNoEntry: false });
  if (folder === undefined) throw unfit(path, `cannot be made: there is no folder ${dirname(whole)}`);
  if (!folder.isDirectory()) throw unfit(path, `cannot be made: ${dirname(whole)} is no folder`);
  if (statSync(whole, { throwIfNoEntry: false })?.isDirectory()) throw unfit(path, "is a folder, not a file");
}

const unfit = (path: string, fault: string): TaskError =>
  new TaskError("invalid", `STORE_URL: ${path} ${fault}`);

const EXPLANATIONS: readonly (readonly [code: RegExp, fault: string])[] = [
  [/^SQLITE_(BUSY|LOCKED)/, "is held by another process"],
  [/^SQLITE_NOTADB/, "is not a SQLite database"],
  [
    /^SQLITE_(CANTOPEN|PERM|AUTH)/,
    "cannot be opened for reading and writing; check the permissions of file and folder",
  ],
  [/^SQLITE_READONLY/, "cannot be written; check the permissions of file and folder"],
  [/^SQLITE_FULL/, "cannot be written: the disk is full"],
  [/^SQLITE_CORRUPT/, "is damaged; restore it from a copy"],
];

/** An error while the file was opened, in one line for the operator. */
function refusal(path: string, error: unknown): unknown {
  if (!isSqliteError(error)) return error;
  const code = sqliteCode(error);
  const known = EXPLANATIONS.find(([pattern]) => pattern.test(code));
  if (known !== undefined) return unfit(path, known[1]);
  return new TaskError(
    "store_unavailable",
    `STORE_URL: ${path} cannot be opened: ${error.message} (${code})`,
  );
}
