import type { Database } from "bun:sqlite";
import type { Status, TaskId } from "../../core/task.ts";
import type { TypeCount } from "../store.ts";
import { type CountedRow, typeCountsOf } from "../type-counts.ts";

/** Counts each change of a status; the sums of a transaction are written once, at its end. */
export interface Tally {
  /** A task of this type has changed its status; `from` is null for a new task, `to` for a deleted one. */
  move(type: string, from: Status | null, to: Status | null): void;
}

type Place = { readonly priority: number; readonly runAt: number };

export function createTypeCounts(db: Database) {
  const add = db.prepare<null, [string, string, number]>(
    `INSERT INTO census (type, status, n) VALUES (?, ?, ?)
     ON CONFLICT (type, status) DO UPDATE SET n = n + excluded.n`,
  );
  const selectCounts = db.prepare<CountedRow, []>("SELECT type, status, n AS count FROM census WHERE n > 0");

  const pending = "FROM task INDEXED BY task_lanes WHERE status = 'pending' AND type = ?";
  const selectHeadBelow = db.prepare<Place, [string, number]>(
    `SELECT priority, run_at AS runAt ${pending} AND priority < ? ORDER BY priority DESC, run_at, id LIMIT 1`,
  );
  const selectPending = db.prepare<Place & { type: string }, [TaskId]>(
    "SELECT type, priority, run_at AS runAt FROM task WHERE id = ? AND status = 'pending'",
  );
  const countDue = db.prepare<{ count: number }, [string, number, number, number]>(
    `SELECT count(*) AS count FROM (SELECT 1 ${pending} AND priority = ? AND run_at <= ? LIMIT ?)`,
  );
  const countDueBefore = db.prepare<
    { count: number },
    [string, number, number, number, number, TaskId, number]
  >(
    `SELECT count(*) AS count FROM (
       SELECT 1 ${pending} AND priority = ? AND run_at <= min(?, ?) AND (run_at, id) < (?, ?) LIMIT ?)`,
  );

  let moved = new Map<string, Map<Status, number>>();

  function count(type: string, status: Status | null, by: number): void {
    if (status === null) return;
    const ofType = moved.get(type) ?? new Map<Status, number>();
    moved.set(type, ofType);
    ofType.set(status, (ofType.get(status) ?? 0) + by);
  }

  function move(type: string, from: Status | null, to: Status | null): void {
    if (from === to) return;
    count(type, from, -1);
    count(type, to, 1);
  }

  /** Before the commit. */
  function write(): void {
    if (moved.size === 0) return;
    for (const [type, ofType] of moved) {
      for (const [status, n] of ofType) if (n !== 0) add.run(type, status, n);
    }
    forget();
  }

  /** After a rollback. */
  function forget(): void {
    moved = new Map();
  }

  const typeCounts = (): TypeCount[] => typeCountsOf(selectCounts.all(), oldestRunAt);

  function oldestRunAt(type: string): number | null {
    const heads = [...headsOf(type)].map(({ runAt }) => runAt);
    return heads.length === 0 ? null : Math.min(...heads);
  }

  /** The head of each lane, by falling priority. */
  function* headsOf(type: string): Generator<Place> {
    let head = selectHeadBelow.get(type, Number.MAX_SAFE_INTEGER);
    while (head !== null) {
      yield head;
      head = selectHeadBelow.get(type, head.priority);
    }
  }

  function positionOf(id: TaskId, now: number, atMost: number): number | null {
    const task = selectPending.get(id);
    if (task === null) return null;
    const { type, priority, runAt } = task;
    let before = 0;
    for (const lane of headsOf(type)) {
      if (lane.priority <= priority || before >= atMost) break;
      before += countDue.get(type, lane.priority, now, atMost - before)?.count ?? 0;
    }
    const left = atMost - before;
    return before + (countDueBefore.get(type, priority, now, runAt, runAt, id, left)?.count ?? 0);
  }

  return { move, write, forget, typeCounts, positionOf };
}
