/**
 * Opens the file, and holds it: SQLite's exclusive lock keeps every other process out, and every other store in this one,
 * until the file is closed or the process is gone. Never open the file by other means in this process: closing such
 * a handle would drop the lock (the rule of POSIX locks), so here it is only looked at by its name.
 */
import { Database } from "bun:sqlite";
import { existsSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { TaskError } from "../../core/error.ts";
import { type MigrationPlan, planMigrations } from "../migrations.ts";
import { MIGRATIONS } from "./migrations.ts";
import { isSqliteError, sqliteCode } from "./refusals.ts";

/** Says in a file's header whose it is: "task". */
const APPLICATION_ID = 0x7461736b;

/** Pages in memory, kibibytes. A claim or a get on a million tasks then seldom leaves the process. */
const CACHE_KIB = 65_536;
/** What is left of the write-ahead log after it was full, bytes. */
const LOG_KEPT_BYTES = 64 * 1_048_576;
/** Statements kept ready; each of some filters and some fields changed is one. */
Database.MAX_QUERY_CACHE_SIZE = 200;

/** The path in a STORE_URL. */
export const pathOf = (url: string): string => url.slice("sqlite:".length);

/** Opens the file, new or old, with the schema brought up to date. Throws in words for the operator. */
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

/** What `openDatabase` would do to the schema; with `apply` it is done. A file that is not there is not made for the question. */
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
  db.run("PRAGMA busy_timeout = 0"); // whoever holds the file holds it for long
  db.run("PRAGMA locking_mode = EXCLUSIVE"); // before the first look, so that the index of the log needs no shared memory
  const mode = db.query<{ journal_mode: string }, []>("PRAGMA journal_mode = WAL").get()?.journal_mode;
  if (mode !== "wal") throw unfit(path, `cannot have a write-ahead log there (journal mode ${mode})`);
  db.run("PRAGMA synchronous = FULL");
  db.run("PRAGMA wal_autocheckpoint = 0"); // the file does so itself, at quiet moments
  db.run(`PRAGMA journal_size_limit = ${LOG_KEPT_BYTES}`);
  db.run(`PRAGMA cache_size = -${CACHE_KIB}`);
  db.run("PRAGMA temp_store = MEMORY");
  db.run("BEGIN EXCLUSIVE");
  db.run("COMMIT"); // locking_mode keeps what this has locked
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

/** SQLite has one word for all of these. */
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
    "cannot be opened for reading and writing; look at the rights of file and folder",
  ],
  [/^SQLITE_READONLY/, "cannot be written; look at the rights of file and folder"],
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
