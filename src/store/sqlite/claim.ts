/**
 * Claims from the index of lanes alone: within a type lane after lane by falling priority, within a lane from its head.
 * Its steps are searches in the index, a few for each type and lane that is asked for and one for each task that is
 * given; no backlog, no history and no task that is due later is read.
 */
import type { Database } from "bun:sqlite";
import { claimOrder, type RunningTask, type TaskId } from "../../core/task.ts";
import { createSorted } from "../../lib/sorted.ts";
import type { Ask, ClaimTerms } from "../store.ts";
import type { Tally } from "./census.ts";
import type { ChangeTable } from "./changes.ts";
import { type Row, sizeOf, taskOf } from "./rows.ts";

type Due = { readonly id: TaskId; readonly runAt: number; readonly priority: number };

/** The due tasks of one type, best first. */
interface DueOfType {
  head(): Due | null;
  /** The head has been claimed. */
  drop(): void;
}

/**
 * Entries of the index that are read ahead in a lane: few at first, for most claims want one task and look at each of
 * their types, then ever more.
 */
const READ_FIRST = 4;
const READ_AT_MOST = 512;
/** Less than ANSWER_BYTES: the text becomes tasks in the server's own thread, and 2 MiB take it some milliseconds. */
const GIVEN_BYTES = 2 * 1_048_576;

export function createClaims(db: Database, changes: ChangeTable, tally: Tally) {
  const pending = "FROM task INDEXED BY task_lanes WHERE status = 'pending'";
  const selectTypeFrom = db.prepare<{ type: string }, [string]>(
    `SELECT type ${pending} AND type >= ? ORDER BY type LIMIT 1`,
  );
  const selectTypeAfter = db.prepare<{ type: string }, [string]>(
    `SELECT type ${pending} AND type > ? ORDER BY type LIMIT 1`,
  );
  const selectLaneBelow = db.prepare<{ priority: number }, [string, number]>(
    `SELECT priority ${pending} AND type = ? AND priority < ? ORDER BY priority DESC LIMIT 1`,
  );
  const selectDue = db.prepare<Due, [string, number, number, number]>(
    `SELECT id, run_at AS runAt, priority ${pending} AND type = ? AND priority = ? AND run_at <= ?
     ORDER BY run_at, id LIMIT ?`,
  );
  // Takes id and terms, returns the row. It holds as `lifecycle.claim` says; the id was just read as pending and due.
  const claimTask = db.prepare<
    Row,
    [{ id: TaskId; nonce: string; worker: string; leaseMs: number; now: number }]
  >(
    `UPDATE task SET status = 'running', version = version + 1, claims = claims + 1,
       token = (claims + 1) || '.' || $nonce, lease_worker = $worker, lease_until = $now + $leaseMs,
       lease_ms = $leaseMs, revoke_at = NULL, attempt = attempt + 1, started_at = $now, progress = NULL, updated_at = $now
     WHERE id = $id RETURNING *`,
  );

  function claim(asks: readonly Ask[], { now, nonce }: ClaimTerms): RunningTask[][] {
    const lanes = createLanes(now);
    let bytes = 0;

    const give = (due: Due, { worker, leaseMs }: Ask): RunningTask[] => {
      const row = claimTask.get({ id: due.id, nonce, worker, leaseMs, now });
      if (row === null) return [];
      bytes += sizeOf(row);
      const task = taskOf(row) as RunningTask; // the statement has just set its status
      tally.move(task.type, "pending", "running");
      changes.append({ id: task.id, version: task.version, status: "running", kind: "changed" }, now);
      return [task];
    };

    return asks.map((ask) => {
      const given: RunningTask[] = [];
      const best = createSorted<DueOfType>((a, b) => claimOrder(headOf(a), headOf(b)));
      for (const ofType of lanes.ofTypes(ask.types)) if (ofType.head() !== null) best.add(ofType);
      for (let next = best.first(); next !== undefined; next = best.first()) {
        if (given.length >= ask.max || bytes > GIVEN_BYTES) break;
        best.remove(next);
        given.push(...give(headOf(next), ask));
        next.drop();
        if (next.head() !== null) best.add(next);
      }
      return given;
    });
  }

  /** What one call has seen of the lanes; its asks share it. */
  function createLanes(now: number) {
    const seen = new Map<string, DueOfType>();
    const resolved = new Map<string, readonly string[]>();

    function ofTypes(patterns: readonly string[]): DueOfType[] {
      return [...new Set(patterns.flatMap(typesOf))].map((type) => {
        const ofType = seen.get(type) ?? createDueOfType(type, now);
        seen.set(type, ofType);
        return ofType;
      });
    }

    function typesOf(pattern: string): readonly string[] {
      if (!pattern.endsWith("*")) return [pattern];
      const types = resolved.get(pattern) ?? [...typesWith(pattern.slice(0, -1))];
      resolved.set(pattern, types);
      return types;
    }

    return { ofTypes };
  }

  /** All types of pending tasks that begin so, by jumping from one to the next. */
  function* typesWith(prefix: string): Generator<string> {
    let found = selectTypeFrom.get(prefix);
    while (found?.type.startsWith(prefix)) {
      yield found.type;
      found = selectTypeAfter.get(found.type);
    }
  }

  function createDueOfType(type: string, now: number): DueOfType {
    let priority = laneBelow(Number.MAX_SAFE_INTEGER);
    let read: readonly Due[] = [];
    let at = 0;
    let wanted = READ_FIRST;

    function laneBelow(above: number): number | null {
      return selectLaneBelow.get(type, above)?.priority ?? null;
    }

    function head(): Due | null {
      while (at === read.length && priority !== null) {
        // What was read has been claimed and has left the lane, so the lane's head is what comes next.
        read = selectDue.all(type, priority, now, wanted);
        at = 0;
        wanted = Math.min(2 * wanted, READ_AT_MOST);
        if (read.length === 0) priority = laneBelow(priority);
      }
      return read[at] ?? null;
    }

    return { head, drop: () => at++ };
  }

  return { claim };
}

/** Only what has a head is sorted. */
const headOf = (ofType: DueOfType): Due => ofType.head() as Due;
