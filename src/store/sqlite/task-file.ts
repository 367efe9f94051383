import type { Database } from "bun:sqlite";
import type { FileSetup, FileVerb, Verbs } from "./calls.ts";
import { createChangeTable } from "./changes.ts";
import { createClaims } from "./claim.ts";
import { openDatabase } from "./database.ts";
import { createDocuments } from "./documents.ts";
import { createBeats } from "./extend.ts";
import { createInserts } from "./insert.ts";
import { createLists } from "./list.ts";
import { createSteps } from "./replace.ts";
import { createRestore } from "./restore.ts";
import { createTypeCounts } from "./type-counts.ts";

/** An open file of tasks. All functions are synchronous and run in the caller's thread. */
export interface TaskFile {
  readonly verbs: Pick<Verbs, FileVerb>;
  begin(): void;
  /** When it returns, all writes since `begin` are on the disk. */
  commit(): void;
  /** Undoes all writes since `begin`. */
  rollback(): void;
  /** The types that the latest commit has made due; null if it changed nothing. */
  takeDueTypes(): readonly string[] | null;
  /** Copies commits from the write-ahead log into the file, so that the log starts again from its beginning. */
  checkpoint(): void;
  close(): void;
}

/** Opens the file and holds it. Throws with a message for the operator. */
export function openTaskFile(setup: FileSetup): TaskFile {
  const db = openDatabase(setup.path);
  adopt(db, setup);
  const changes = createChangeTable(db);
  const typeCounts = createTypeCounts(db);
  const inserts = createInserts(db, changes, typeCounts);
  const beats = createBeats(db, changes);
  const claims = createClaims(db, changes, typeCounts);
  const documents = createDocuments(db);
  const steps = createSteps(db, changes, typeCounts, {
    ...{
      isHeld: inserts.isHeld,
      orphanLog: beats.orphan,
      isFree: documents.isFree,
      putOnce: documents.putOnce,
    },
  });
  const restore = createRestore(db, changes, typeCounts, { ...inserts, putLog: beats.putLog });
  const lists = createLists(db);

  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  const checkpoint = db.prepare("PRAGMA wal_checkpoint(PASSIVE)");

  function cleanUp(now: number): boolean {
    const more = [changes.prune(now), inserts.forget(now), beats.clearOrphans(), documents.clear(now)];
    return more.includes(true);
  }

  return {
    verbs: {
      ...lists,
      ...steps,
      insert: inserts.insert,
      restore,
      typeCounts: typeCounts.typeCounts,
      positionOf: typeCounts.positionOf,
      claim: claims.claim,
      extend: beats.extend,
      readLog: beats.readLog,
      changes: changes.after,
      writeDocuments: documents.writeDocuments,
      readDocuments: documents.readDocuments,
      cleanUp,
    },
    begin: () => void begin.run(),
    commit: () => {
      typeCounts.write();
      commit.run();
    },
    rollback: () => {
      if (db.inTransaction) rollback.run(); // after some errors SQLite has done it already
      inserts.reload();
      changes.reload();
      typeCounts.forget();
    },
    takeDueTypes: changes.takeDueTypes,
    checkpoint: () => void checkpoint.run(),
    close: () => db.close(true), // finalizes every statement
  };
}

/**
 * Takes the file over from the process that held it last. Its lock was free, so that process has ended with its own processor, and the leases
 * of that processor end now. They get the length 0: after a start a lease is judged only when its worker has had half of the lease's length to
 * report, and this worker cannot report. Leases of workers in other processes stay as they are.
 */
function adopt(db: Database, { epoch, holder, now }: FileSetup): void {
  db.run("BEGIN IMMEDIATE");
  db.run("INSERT INTO meta (epoch, last_id) SELECT ?, 0 WHERE NOT EXISTS (SELECT 1 FROM meta)", [epoch]);
  db.run(
    `UPDATE task SET lease_until = min(lease_until, ?), lease_ms = 0
     WHERE status = 'running' AND lease_worker = (SELECT holder FROM meta)`,
    [now],
  );
  db.run("UPDATE meta SET holder = ?", [holder]);
  db.run("COMMIT");
}
