/**
 * Claims read only the index of lanes: of each type the lanes in descending priority, and each lane from its head. A claim makes a few
 * searches in the index for each type and lane that it asks for, and one for each task that it returns. Its cost does not depend on the
 * number of pending tasks, of ended tasks or of tasks that are due later.
 */
import type { Database } from "bun:sqlite";
import { claimOrder, type RunningTask, type TaskId } from "../../core/task.ts";
import { createSorted } from "../../lib/sorted.ts";
import type { Row } from "../columns.ts";
import type { Ask, ClaimTerms } from "../store.ts";
import type { ChangeTable } from "./changes.ts";
import { COLUMNS, selectList, sizeOf } from "./columns.ts";
import type { Tally } from "./type-counts.ts";

type Due = { readonly id: TaskId; readonly runAt: number; readonly priority: number };

/** The due tasks of one type in the order of claims. */
interface DueOfType {
  head(): Due | null;
  /** The head has been claimed. */
  drop(): void;
}

/**
 * Entries of the index that are read ahead in a lane: few at first, because most claims want one task and read a lane of each of their
 * types; then twice as many each time.
 */
const READ_FIRST = 4;
const READ_AT_MOST = 512;
/** Less than ANSWER_BYTES, because the server's own thread parses the text: some milliseconds for 2 MiB. */
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
  // Takes the id and the terms, returns the row. It writes what `lifecycle.claim` says; the task was just read as pending and due.
  const claimTask = db.prepare<
    Row,
    [{ id: TaskId; nonce: string; worker: string; leaseMs: number; now: number }]
  >(
    `UPDATE task SET status = 'running', version = version + 1, claims = claims + 1,
       token = (claims + 1) || '.' || $nonce, lease_worker = $worker, lease_until = $now + $leaseMs,
       lease_ms = $leaseMs, revoke_at = NULL, attempt = attempt + 1, started_at = $now, progress = NULL, updated_at = $now
     WHERE id = $id RETURNING ${selectList("whole")}`,
  );

  function claim(asks: readonly Ask[], { now, nonce }: ClaimTerms): RunningTask[][] {
    const lanes = createLanes(now);
    let bytes = 0;

    const give = (due: Due, { worker, leaseMs }: Ask): RunningTask[] => {
      const row = claimTask.get({ id: due.id, nonce, worker, leaseMs, now });
      if (row === null) return [];
      bytes += sizeOf(row, "whole");
      const task = COLUMNS.read(row, "whole") as RunningTask; // the statement has just set its status
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

  /** The lanes as one call has read them; its asks share them. */
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

  /** All types of pending tasks with this prefix: one search in the index for each. */
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
        // The tasks that were read have been claimed and have left the lane, so the next ones begin at its head.
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

/** Only types with a head are sorted. */
const headOf = (ofType: DueOfType): Due => ofType.head() as Due;
