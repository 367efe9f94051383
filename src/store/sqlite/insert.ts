import type { Database } from "bun:sqlite";
import { isMadeDue } from "../../core/due.ts";
import type { Draft, PendingTask, TaskId } from "../../core/task.ts";
import type { Value } from "../columns.ts";
import type { Idempotency, InsertAnswer, Inserted, InsertRequest } from "../store.ts";
import type { ChangeTable } from "./changes.ts";
import { COLUMNS, insertStatement, valuesOf } from "./columns.ts";
import type { Tally } from "./type-counts.ts";

type Remembered = { readonly fingerprint: string; readonly until: number; readonly tasks: string };

const FORGOTTEN_AT_ONCE = 1_000;

export function createInserts(db: Database, changes: ChangeTable, tally: Tally) {
  const insertTask = db.prepare<null, Value[]>(insertStatement());
  const selectHolder = db.prepare<{ id: TaskId }, [string]>(
    "SELECT id FROM task WHERE key = ? AND key IS NOT NULL AND finished_at IS NULL",
  );
  const selectLastId = db.prepare<{ last_id: number }, []>("SELECT last_id FROM meta");
  const updateLastId = db.prepare<null, [number]>("UPDATE meta SET last_id = ?");
  const selectRemembered = db.prepare<Remembered, [string, string]>(
    "SELECT fingerprint, until, tasks FROM idempotency WHERE scope = ? AND key = ?",
  );
  const remember = db.prepare<null, [string, string, string, number, string]>(
    "INSERT OR REPLACE INTO idempotency (scope, key, fingerprint, until, tasks) VALUES (?, ?, ?, ?, ?)",
  );
  const forgetSome = db.prepare<null, [number]>(
    `DELETE FROM idempotency WHERE (scope, key) IN
       (SELECT scope, key FROM idempotency WHERE until <= ? ORDER BY until LIMIT ${FORGOTTEN_AT_ONCE})`,
  );

  let lastId = lastIdGiven();

  function lastIdGiven(): number {
    return selectLastId.get()?.last_id ?? 0;
  }

  function insert(requests: readonly InsertRequest[], now: number): InsertAnswer[] {
    const before = lastId;
    const answers = requests.map((request) => insertOne(request, now));
    if (lastId !== before) updateLastId.run(lastId);
    return answers;
  }

  function insertOne({ drafts, idempotency }: InsertRequest, now: number): InsertAnswer {
    const earlier = idempotency === null ? null : find(idempotency, now);
    if (earlier !== null) return earlier;
    const tasks = drafts.map((draft) => insertDraft(draft, now));
    if (idempotency !== null) {
      const { scope, key, fingerprint, until } = idempotency;
      remember.run(scope, key, fingerprint, until, JSON.stringify(tasks));
    }
    return { kind: "created", tasks };
  }

  function find({ scope, key, fingerprint }: Idempotency, now: number): InsertAnswer | null {
    const earlier = selectRemembered.get(scope, key);
    if (earlier === null || earlier.until <= now) return null;
    if (earlier.fingerprint !== fingerprint) return { kind: "mismatch" };
    return { kind: "repeated", tasks: JSON.parse(earlier.tasks) as Inserted[] }; // written by insertOne
  }

  function insertDraft(draft: Draft, now: number): Inserted {
    const holder = draft.key === null ? null : selectHolder.get(draft.key);
    if (holder !== null) return { id: holder.id, existing: true };
    const task: PendingTask = { ...draft, id: ++lastId };
    insertTask.run(...valuesOf(COLUMNS.all, task));
    const { id, version, status } = task;
    tally.move(task.type, null, status);
    const due = isMadeDue(task) ? task.type : null;
    changes.append({ id, version, status, kind: "created" }, now, due);
    return { id, existing: false };
  }

  return {
    insert,
    /** Ids that are given later are higher than this one. */
    raiseLastId: (id: TaskId): void => {
      if (id <= lastId) return;
      lastId = id;
      updateLastId.run(lastId);
    },
    /** Whether a live task holds the key. */
    isHeld: (key: string): boolean => selectHolder.get(key) !== null,
    /** Deletes some idempotency keys that have expired; true while there may be others. */
    forget: (now: number): boolean => forgetSome.run(now).changes === FORGOTTEN_AT_ONCE,
    /** After a rollback. */
    reload: (): void => {
      lastId = lastIdGiven();
    },
  };
}
