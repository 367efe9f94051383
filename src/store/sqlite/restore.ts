import type { Database } from "bun:sqlite";
import { isMadeDue } from "../../core/due.ts";
import { isLive, type LogLine, type Task, type TaskId } from "../../core/task.ts";
import type { Value } from "../columns.ts";
import { restoredKeyTaken } from "../refusals.ts";
import type { TaskRecord } from "../store.ts";
import type { ChangeTable } from "./changes.ts";
import { COLUMNS, insertStatement, valuesOf } from "./columns.ts";
import type { Tally } from "./type-counts.ts";

/** Adds tasks of another store unchanged. */
export function createRestore(
  db: Database,
  changes: ChangeTable,
  tally: Tally,
  others: {
    readonly isHeld: (key: string) => boolean;
    readonly raiseLastId: (id: TaskId) => void;
    readonly putLog: (id: TaskId, log: readonly LogLine[]) => void;
  },
) {
  const insertTask = db.prepare<null, Value[]>(insertStatement(["log_count"]));
  const selectTask = db.prepare<object, [TaskId]>("SELECT 1 FROM task WHERE id = ?");

  function restore(records: readonly TaskRecord[], now: number): number {
    const missing = records.filter(({ task }) => selectTask.get(task.id) === null);
    for (const record of missing) put(record, now);
    if (missing.length > 0) others.raiseLastId(Math.max(...missing.map(({ task }) => task.id)));
    return missing.length;
  }

  /** Throws if another task has the key, also a task of the same call: then the whole call is rolled back. */
  function put({ task, log }: TaskRecord, now: number): void {
    if (task.key !== null && isLive(task) && others.isHeld(task.key)) throw restoredKeyTaken();
    insertTask.run(...valuesOf(COLUMNS.all, task), log.at(-1)?.n ?? 0);
    others.putLog(task.id, log);
    const { id, version, status } = task;
    tally.move(task.type, null, status);
    changes.append({ id, version, status, kind: "created" }, now, dueType(task));
  }

  return restore;
}

const dueType = (task: Task): string | null => (isMadeDue(task) ? task.type : null);
