import type { Database } from "bun:sqlite";
import type { Change, ChangePage, Position } from "../store.ts";

/** At least this many changes are kept, and at least the changes of this time. */
const KEPT_CHANGES = 100_000;
const KEPT_MS = 3_600_000;
const PRUNED_AT_ONCE = 5_000;

export interface ChangeTable {
  /** @param due the task's type if it has just become ready for a claim */
  append(change: Omit<Change, "rev">, at: number, due?: string | null): void;
  after(position: Position | null, limit: number): ChangePage;
  /** Deletes some of the changes that need not be kept; true while there are others. */
  prune(now: number): boolean;
  /** The types that became due with the changes since the last call; null when there was no change. */
  takeDueTypes(): readonly string[] | null;
  /** After a rollback. */
  reload(): void;
}

type Kept = { readonly first: number; readonly last: number };

export function createChangeTable(db: Database): ChangeTable {
  const insert = db.prepare<null, [number, number, number, string, string, number]>(
    "INSERT INTO change (rev, task_id, version, status, kind, at) VALUES (?, ?, ?, ?, ?, ?)",
  );
  const select = db.prepare<Change, [number, number]>(
    "SELECT rev, task_id AS id, version, status, kind FROM change WHERE rev > ? ORDER BY rev LIMIT ?",
  );
  const selectKept = db.prepare<{ first: number | null; last: number | null }, []>(
    "SELECT (SELECT min(rev) FROM change) AS first, (SELECT max(rev) FROM change) AS last",
  );
  /** The first change of a range that is young enough to be kept. */
  const selectYoung = db.prepare<{ rev: number }, [number, number, number]>(
    "SELECT rev FROM change WHERE rev >= ? AND rev < ? AND at > ? ORDER BY rev LIMIT 1",
  );
  const deleteBefore = db.prepare<null, [number]>("DELETE FROM change WHERE rev < ?");
  const epoch = db.query<{ epoch: string }, []>("SELECT epoch FROM meta").get()?.epoch ?? "";

  let { first, last } = kept();
  let isNew = false;
  const dueTypes = new Set<string>();

  function kept(): Kept {
    const row = selectKept.get();
    return { first: row?.first ?? 1, last: row?.last ?? 0 };
  }

  function append({ id, version, status, kind }: Omit<Change, "rev">, at: number, due: string | null = null) {
    insert.run(++last, id, version, status, kind, at);
    isNew = true;
    if (due !== null) dueTypes.add(due);
  }

  function after(position: Position | null, limit: number): ChangePage {
    if (position === null) return { kind: "changes", changes: [], position: { epoch, rev: last } };
    if (position.epoch !== epoch || position.rev < first - 1 || position.rev > last) {
      return { kind: "gone", position: { epoch, rev: last }, oldest: { epoch, rev: first - 1 } };
    }
    const changes = select.all(position.rev, limit);
    return { kind: "changes", changes, position: { epoch, rev: changes.at(-1)?.rev ?? position.rev } };
  }

  function prune(now: number): boolean {
    const end = Math.min(first + PRUNED_AT_ONCE, last + 1 - KEPT_CHANGES);
    if (end <= first) return false;
    const stays = selectYoung.get(first, end, now - KEPT_MS)?.rev ?? end;
    if (stays > first) deleteBefore.run(stays);
    first = stays;
    return stays === end && last + 1 - KEPT_CHANGES > end;
  }

  function takeDueTypes(): readonly string[] | null {
    const due = isNew ? [...dueTypes] : null;
    isNew = false;
    dueTypes.clear();
    return due;
  }

  function reload(): void {
    ({ first, last } = kept());
    takeDueTypes();
  }

  return { append, after, prune, takeDueTypes, reload };
}
