import type { Database } from "bun:sqlite";
import { renewedUntil } from "../../core/lease.ts";
import { LIMITS, type LogLine, type Status, type TaskId } from "../../core/task.ts";
import { type Beat, type BeatAnswer, type NewLogLine, PROGRESS_CHANGE_EVERY_MS } from "../store.ts";
import type { ChangeTable } from "./changes.ts";

type Leased = {
  readonly id: TaskId;
  readonly version: number;
  readonly status: Status;
  readonly lease_until: number | null;
  readonly lease_ms: number | null;
  readonly revoke_at: number | null;
  readonly progress_at: number | null;
  readonly log_count: number;
};

/** A last change in the future was written before the clock was set back. */
const isProgressChangeDue = (toldAt: number | null, now: number): boolean =>
  toldAt === null || now < toldAt || now - toldAt >= PROGRESS_CHANGE_EVERY_MS;

const ORPHANS_AT_ONCE = 1_000;

/** Heartbeats with their progress and log lines, and the log lines of tasks. */
export function createBeats(db: Database, changes: ChangeTable) {
  // Takes the id and the token; the conditions are those of `lifecycle.extend`.
  const selectLeased = db.prepare<Leased, [TaskId, string]>(
    `SELECT id, version, status, lease_until, lease_ms, revoke_at, progress_at, log_count FROM task
     WHERE id = ? AND status = 'running' AND token = ?`,
  );
  const updateLeased = db.prepare<null, [number, string | null, number | null, number, TaskId]>(
    `UPDATE task SET lease_until = ?, progress = coalesce(?, progress), progress_at = ?, log_count = ? WHERE id = ?`,
  );
  const insertLine = db.prepare<null, [TaskId, number, number, string, string]>(
    "INSERT INTO log_line (task_id, n, at, level, message) VALUES (?, ?, ?, ?, ?)",
  );
  const trimLog = db.prepare<null, [TaskId, number]>("DELETE FROM log_line WHERE task_id = ? AND n <= ?");
  const selectLines = db.prepare<LogLine, [TaskId, number]>(
    `SELECT n, at, level, message FROM log_line
     WHERE task_id = ?1 AND n > ?2 AND EXISTS (SELECT 1 FROM task WHERE id = ?1) ORDER BY n`,
  );
  const orphan = db.prepare<null, [TaskId]>("INSERT INTO orphaned_log (task_id) VALUES (?)");
  const selectOrphan = db.prepare<{ id: TaskId }, []>("SELECT task_id AS id FROM orphaned_log LIMIT 1");
  const deleteOrphan = db.prepare<null, [TaskId]>("DELETE FROM orphaned_log WHERE task_id = ?");
  const deleteLines = db.prepare<null, [TaskId]>("DELETE FROM log_line WHERE task_id = ?");

  const extend = (beats: readonly Beat[], now: number): BeatAnswer[] =>
    beats.map((beat) => extendOne(beat, now));

  function extendOne({ id, token, progress, log }: Beat, now: number): BeatAnswer {
    const leased = selectLeased.get(id, token);
    if (leased === null) return "lost";
    const { version, status, lease_until, lease_ms, revoke_at, progress_at, log_count } = leased;
    const lease = { until: lease_until ?? 0, leaseMs: lease_ms ?? 0 }; // a running task has both
    const isLogged = progress !== null && isProgressChangeDue(progress_at, now);
    const lines = log_count + log.length;
    updateLeased.run(
      renewedUntil(lease, now),
      progress && JSON.stringify(progress),
      isLogged ? now : progress_at,
      lines,
      id,
    );
    appendLines(id, log, { from: log_count, at: now });
    if (isLogged) changes.append({ id, version, status, kind: "progress" }, now);
    return revoke_at === null ? "ok" : "cancel";
  }

  function appendLines(id: TaskId, log: readonly NewLogLine[], { from, at }: { from: number; at: number }) {
    if (log.length === 0) return;
    const oldest = from + log.length - LIMITS.logLinesKept;
    for (const [index, { level, message }] of log.entries()) {
      const n = from + index + 1;
      if (n > oldest) insertLine.run(id, n, at, level, message);
    }
    if (oldest > 0) trimLog.run(id, oldest);
  }

  /** Deletes the lines of some deleted tasks; true while there are others. */
  function clearOrphans(): boolean {
    let deleted = 0;
    for (let found = selectOrphan.get(); found !== null; found = selectOrphan.get()) {
      if (deleted >= ORPHANS_AT_ONCE) return true;
      deleted += deleteLines.run(found.id).changes + 1;
      deleteOrphan.run(found.id);
    }
    return false;
  }

  /** The log of a task of another store. A task with the same id may have been deleted here while its lines are still there. */
  function putLog(id: TaskId, log: readonly LogLine[]): void {
    if (deleteOrphan.run(id).changes > 0) deleteLines.run(id);
    for (const { n, at, level, message } of log) insertLine.run(id, n, at, level, message);
  }

  return {
    extend,
    putLog,
    readLog: (id: TaskId, after: number): LogLine[] => selectLines.all(id, after),
    /** The task has been deleted; its lines are deleted later. */
    orphan: (id: TaskId): void => void orphan.run(id),
    clearOrphans,
  };
}
