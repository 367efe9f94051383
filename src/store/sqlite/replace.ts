import type { Database, Statement } from "bun:sqlite";
import type { FieldName, Status, TaskId } from "../../core/task.ts";
import type { Column, Value } from "../columns.ts";
import type { OnceDocument, ReplaceAnswer, TaskRef } from "../store.ts";
import type { SentStep } from "./calls.ts";
import type { ChangeTable } from "./changes.ts";
import { COLUMNS, valuesOf } from "./columns.ts";
import type { Tally } from "./type-counts.ts";

type Removed = {
  readonly type: string;
  readonly version: number;
  readonly status: Status;
  readonly log_count: number;
};

/** Steps and deletions: compare-and-set writes. */
export function createSteps(
  db: Database,
  changes: ChangeTable,
  tally: Tally,
  others: {
    readonly isHeld: (key: string) => boolean;
    readonly orphanLog: (id: TaskId) => void;
    readonly isFree: (document: OnceDocument) => boolean;
    readonly putOnce: (document: OnceDocument) => void;
  },
) {
  // Takes the id, the version and the lease's end as the step saw them.
  const guard = "id = ? AND version = ? AND lease_until IS ?";
  const selectUnmoved = db.prepare<object, [TaskId, number, number | null]>(
    `SELECT 1 FROM task WHERE ${guard}`,
  );
  const deleteTask = db.prepare<Removed, [TaskId, number | null]>(
    "DELETE FROM task WHERE id = ?1 AND (?2 IS NULL OR version = ?2) RETURNING type, version, status, log_count",
  );

  const replace = (steps: readonly SentStep[]): ReplaceAnswer[] => steps.map(replaceOne);

  function replaceOne(step: SentStep): ReplaceAnswer {
    const { id, version, until, claimsKey, type, was, status, at, due, once } = step;
    if (once !== undefined && !others.isFree(once)) return "stale";
    if (claimsKey !== null && others.isHeld(claimsKey)) {
      return selectUnmoved.get(id, version, until) === null ? "stale" : "key_taken";
    }
    const names = Object.keys(step.changed) as FieldName[]; // a task has no others
    const columns = COLUMNS.of(names);
    const written = updateOf(names, columns).run(...valuesOf(columns, step.changed), id, version, until);
    if (written.changes === 0) return "stale";
    if (once !== undefined) others.putOnce(once);
    tally.move(type, was, status);
    changes.append({ id, version: step.changed.version ?? version, status, kind: "changed" }, at, due);
    return "ok";
  }

  /** One statement for each set of changed fields. There are few, and `query` keeps them prepared. */
  function updateOf(names: readonly FieldName[], columns: readonly Column[]): Statement<null, Value[]> {
    const sets = columns.map(({ name }) => `${name} = ?`);
    if (names.includes("finishedAt")) sets.push("progress_at = NULL"); // after an end the next progress is a change at once
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
