import type { Database, Statement } from "bun:sqlite";
import type { TaskId } from "../../core/task.ts";
import type { OnceNote, ReplaceAnswer, TaskRef } from "../store.ts";
import type { Move } from "./calls.ts";
import type { Tally } from "./census.ts";
import type { ChangeTable } from "./changes.ts";
import { columnsOf, fieldsOf, type Row, type Value, valuesOf } from "./rows.ts";

type Removed = Pick<Row, "type" | "version" | "status" | "log_count">;

/** Steps and deletions: what is written only if nobody was faster. */
export function createSteps(
  db: Database,
  changes: ChangeTable,
  tally: Tally,
  others: {
    readonly isHeld: (key: string) => boolean;
    readonly orphanLog: (id: TaskId) => void;
    readonly isFree: (note: OnceNote) => boolean;
    readonly putOnce: (note: OnceNote) => void;
  },
) {
  // Takes id, version and the lease's end as the step saw them.
  const guard = "id = ? AND version = ? AND lease_until IS ?";
  const selectUnmoved = db.prepare<object, [TaskId, number, number | null]>(
    `SELECT 1 FROM task WHERE ${guard}`,
  );
  const deleteTask = db.prepare<Removed, [TaskId, number | null]>(
    "DELETE FROM task WHERE id = ?1 AND (?2 IS NULL OR version = ?2) RETURNING type, version, status, log_count",
  );

  const replace = (moves: readonly Move[]): ReplaceAnswer[] => moves.map(replaceOne);

  function replaceOne(move: Move): ReplaceAnswer {
    const { id, version, until, claimsKey, type, was, status, at, due, once } = move;
    if (once !== undefined && !others.isFree(once)) return "stale";
    if (claimsKey !== null && others.isHeld(claimsKey)) {
      return selectUnmoved.get(id, version, until) === null ? "stale" : "key_taken";
    }
    const names = fieldsOf(move.changed);
    const written = updateOf(names).run(...valuesOf(move.changed, names), id, version, until);
    if (written.changes === 0) return "stale";
    if (once !== undefined) others.putOnce(once);
    tally.move(type, was, status);
    changes.append({ id, version: move.changed.version ?? version, status, kind: "changed" }, at, due);
    return "ok";
  }

  /** One statement for each set of changed fields; there are few, and SQLite keeps them ready. */
  function updateOf(names: ReturnType<typeof fieldsOf>): Statement<null, Value[]> {
    const sets = columnsOf(names).map((column) => `${column} = ?`);
    if (names.includes("finishedAt")) sets.push("progress_at = NULL"); // an end lets the next progress be told at once
    return db.query(`UPDATE task SET ${sets.join(", ")} WHERE ${guard}`);
  }

  function remove(refs: readonly TaskRef[], now: number): boolean[] {
    return refs.map(({ id, version, once }) => {
      if (once !== undefined && !others.isFree(once)) return false;
      const removed = deleteTask.get(id, version ?? null);
      if (removed === null) return false;
      if (once !== undefined) others.putOnce(once);
      if (removed.log_count > 0) others.orphanLog(id);
      tally.move(removed.type, removed.status, null);
      changes.append({ id, version: removed.version, status: removed.status, kind: "deleted" }, now);
      return true;
    });
  }

  return { replace, remove };
}
