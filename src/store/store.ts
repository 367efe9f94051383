/**
 * The port of every store. A store does not know the rules of tasks: it assigns ids, finds tasks, and replaces version n by version
 * n + 1 unless another write came first. Only `claim` and `extend` also apply the rules of `core/lifecycle`, to save a round trip;
 * the exam (store.suite.ts) compares them with it.
 *
 * Unless its description says otherwise, every method is atomic, and its writes are durable (as far as the store is) before it answers. Each change
 * of a task, except a mere renewal of its lease, is in the change log in the same commit. A store that cannot answer rejects with
 * `store_unavailable` (the write may have happened) or, when it has proof that nothing was written, with `store_rejected`.
 */

import type { Search } from "../core/search.ts";
import type {
  Draft,
  LightTask,
  LogLevel,
  LogLine,
  Parts,
  Progress,
  RunningTask,
  Status,
  Task,
  TaskHead,
  TaskId,
  TaskParts,
} from "../core/task.ts";

export interface TaskStore {
  /** Which product keeps the tasks, and which answered writes a crash may lose: one sentence for /readyz and the log. */
  readonly durability: string;

  /**
   * Creates tasks; the caller must not use the drafts afterwards. Each request is carried out whole or not at all, and all requests of a call
   * commit together; a call with more than 1,000 drafts in all may commit in several pieces. Ids are assigned in the order of the drafts,
   * from 1, each only once; a repeated or refused request skips none.
   * - A draft with the `key` of a live task (also of an earlier request in the call) is answered with that task: `existing: true`.
   *   The caller ensures that no two drafts of one request have the same key.
   * - With `idempotency`: if (scope, key) is known and `until` is later than now, nothing is created; the answer has the ids of
   *   the first request if the fingerprint agrees, else it is `mismatch`.
   */
  insert(requests: readonly InsertRequest[], now: number): Promise<InsertAnswer[]>;

  /**
   * The tasks of these ids in this order, null if there is none; of each task the requested parts, by default the whole task. An
   * answer ends at about ANSWER_BYTES (core/text-size.ts) of the text of these parts: it may be shorter than the list of ids, but has
   * at least one entry unless the list is empty. The caller asks again for the rest.
   */
  get<P extends Parts = "whole">(ids: readonly TaskId[], parts?: P): Promise<(TaskParts[P] | null)[]>;

  /**
   * One page of the tasks that the filter takes, in the order of `sort`, after the cursor. The work of a call is bounded: a page may be short or
   * empty while `next` is not null. Pages are no snapshot, but walking `next` until it is null shows every task that exists and
   * matches the whole time exactly once. A page ends at about ANSWER_BYTES of the text of the requested parts; its first task is returned
   * in any size.
   */
  list<P extends Parts = "whole">(query: TaskQuery<P>): Promise<TaskPage<TaskParts[P]>>;

  /** The number of tasks that the filter takes. Not atomic: counted in pieces. */
  count(filter: TaskFilter): Promise<number>;

  /**
   * Exact counts by type and status of all types that have tasks, in the order of their names (by code unit), as they are in one
   * commit. With hundreds of types a store may read them in pieces; the counts of each type are then as they are in one commit. The
   * earliest `runAt` may be of a moment later. The cost depends on the number of types and of their lanes, not on the number of tasks:
   * each change counts in its own commit.
   */
  typeCounts(): Promise<TypeCount[]>;

  /**
   * The number of due pending tasks of its type that are before this pending task in `claimOrder`, counted up to `atMost`; null when
   * the task is not pending, or not there. Not atomic. Work is bounded by `atMost` and by the number of the type's lanes.
   */
  positionOf(id: TaskId, now: number, atMost: number): Promise<number | null>;

  /**
   * Claims due tasks, as `lifecycle.claim` does, for many asks at once: in their order each ask gets the best tasks (`claimOrder`) of
   * its types that earlier asks have left, up to its `max`. The cost depends on the number of claimed tasks and of lanes, not on the
   * backlog. Two claims never get the same version of a task.
   * A call claims at most about ANSWER_BYTES (core/text-size.ts) of tasks in all, and at least one task if one is due. At the bound
   * the current ask ends short of its `max`, and the asks after it get nothing; the tasks that they did not get stay pending.
   */
  claim(asks: readonly Ask[], terms: ClaimTerms): Promise<RunningTask[][]>;

  /**
   * Renews leases, as `lifecycle.extend` does, and in the same commit stores progress and appends log lines (progress is a change, log
   * lines alone are not). A lease is held by its token while the task runs, also after its end: a heartbeat that comes late, but before the
   * lease was judged, renews it. A heartbeat without its lease is answered `lost` and changes nothing; the others are not affected.
   */
  extend(beats: readonly Beat[], now: number): Promise<BeatAnswer[]>;

  /**
   * Writes steps, each on its own and in their order: `ok` only if the stored task still has `from.version` and, if it runs, the
   * lease's `until` of `from`; else `stale`. A step that makes an ended task live again is `key_taken` while another live task holds
   * its key. A call has at most one step a task. Only fields that differ are written: a payload or a result that `to` does not have,
   * because the task was read without it, stays as it is in the store.
   * A step with `once` is also `stale`, and never `key_taken`, if a document of that name exists; a step that is written writes the
   * document in the same commit. So a step that comes twice is carried out once, and the caller finds its answer in the document.
   */
  replace(steps: readonly Step[]): Promise<ReplaceAnswer[]>;

  /**
   * Deletes tasks with their logs; false if there is none, or none of that version. With `once`: as in `replace`, and false if
   * the document exists.
   */
  remove(refs: readonly TaskRef[]): Promise<boolean[]>;

  /**
   * Adds tasks of another store unchanged, each with its log: id, version, history, lease. A task with an id that exists here
   * is left out. The call is carried out whole or not at all, `key_taken` if a live task here holds the key of one of them. Each is
   * in the change log as created; ids that are assigned later are higher than all of these. Returns the number of added tasks. For
   * `tasktrack copy`, while no other process writes.
   */
  restore(records: readonly TaskRecord[]): Promise<number>;

  /**
   * The task's log lines with n > after, oldest first; the last LIMITS.logLinesKept are kept. They are numbered from 1, in all attempts
   * together. `[]` without a task.
   */
  readLog(id: TaskId, after: number): Promise<LogLine[]>;

  /**
   * The change log after a position, in order of commit: no change ever commits behind a position that was read. `null` asks for the
   * present end. `gone` when the position is of another epoch, older than the kept part or ahead of the log; the reader starts again
   * from the position in the answer, which is the present end, or reads everything that is kept from `oldest` on. A new epoch (a
   * server that was restarted, a replica that was promoted) continues with the revs of the one before, as far as that was kept: a rev
   * that was read back from the store itself means the same place in both.
   */
  changes(after: Position | null, limit: number): Promise<ChangePage>;

  /**
   * Calls `notify` soon after each commit. One call for many commits is fine, and a call may be lost: a reader that must not miss a
   * change also polls. `due` names the types of tasks that became pending in these commits, so that a dispatcher need not ask after
   * every commit; null when the store does not know them, as after an outage. A deletion makes no task due.
   * With `needs` `due`, commits of other processes that make no task due and revoke no lease need not be reported.
   */
  watch(notify: Watcher, needs?: WatcherNeeds): () => void;

  /**
   * Writes documents: small texts beside the tasks, each under a name, by which processes exchange facts. Each is written on its own:
   * `ok` only if the stored version is `ifVersion` (0: there is none; not given: any or none), else `stale`. Versions rise by one
   * from 1; a null value deletes. A document with an `until` that is not later than now counts as not there and is deleted later. Documents are
   * not in the change log and notify no watcher. A call has a name at most once; names are up to 255 printable ASCII characters, values
   * up to 64 KiB of text: the caller makes sure of it.
   */
  writeDocuments(writes: readonly DocumentWrite[], now: number): Promise<DocumentAnswer[]>;

  /**
   * One page of the documents with names that begin with the prefix and are higher than `after`, without expired ones, in the order of
   * their names. A page ends at DOCUMENTS_PER_PAGE documents, or at about ANSWER_BYTES of their text; `next` is then the `after` of the next page,
   * else null. Pages are no snapshot.
   */
  readDocuments(prefix: string, now: number, after?: string): Promise<DocumentPage>;

  /** The time of the store's clock, epoch milliseconds: all processes on the store use it. */
  now(): Promise<number>;

  /**
   * The store's clock as by `now`, and in the same call whether there is work: an idle process makes no other call every second. An
   * answer may be true although there is nothing, never false although there was something before the call.
   */
  look(query: LookQuery): Promise<Look>;

  /** Releases everything. Calls under way may fail; a second call does nothing. */
  close(): Promise<void>;
}

export type LookQuery = {
  /** Exact types, or prefixes ending in `*`. */
  readonly types: readonly string[];
  /** Whether to look for leases. */
  readonly leases: boolean;
  /** The beginning of documents' names. */
  readonly documents: string;
};
export type Look = {
  /** Epoch milliseconds. */
  readonly now: number;
  /** A pending task of these types is due. */
  readonly isDue: boolean;
  /** A lease or a cancel's grace is over (`expiresAt`). */
  readonly isExpired: boolean;
  /** There is a document with a name that begins so. */
  readonly hasDocuments: boolean;
};

export type Watcher = (due: readonly string[] | null, notice?: CommitNotice) => void;
export type WatcherNeeds = "every" | "due";

/** What is known of the commits of a notification; missing if nothing is, as after an outage or from an earlier version. */
export type CommitNotice = {
  /** The same in all processes that get the notification, and another one for each notification; null for commits of this process. */
  readonly seed: string | null;
  /** How many tasks of each type in `due` became due. */
  readonly counts: readonly number[];
  /** Whether a lease may have ended other than by its worker, or its worker may have to stop. */
  readonly mayRevoke: boolean;
};

export type Idempotency = {
  readonly scope: string;
  readonly key: string;
  /** Of the request's body: the same key with another fingerprint is refused. */
  readonly fingerprint: string;
  readonly until: number;
};

export type InsertRequest = { readonly drafts: readonly Draft[]; readonly idempotency: Idempotency | null };
export type Inserted = { readonly id: TaskId; readonly existing: boolean };
export type InsertAnswer =
  | { readonly kind: "created" | "repeated"; readonly tasks: readonly Inserted[] }
  | { readonly kind: "mismatch" };

/** All given conditions must hold; a list holds if one of its members does (`tags` and `labels`: if all do). */
export type TaskFilter = {
  readonly statuses?: readonly Status[];
  /** Exact types, or prefixes ending in `*`. */
  readonly types?: readonly string[];
  readonly tags?: readonly string[];
  /** Each as `name:value`. */
  readonly labels?: readonly string[];
  readonly search?: Search;
  /** Ended before this time. */
  readonly finishedBefore?: number;
  /** Running, with a lease or a cancel's grace (`lifecycle.expiresAt`) that is over at this time. */
  readonly expiredAt?: number;
  /** Running, with a lease or a cancel's grace that is overlong at this time (`lifecycle.isOverlong`): the clock was set back. */
  readonly overlongAt?: number;
};

/** By id, or (ended tasks alone) by the time of their end; `-` from the newest. */
export type Sort = "id" | "-id" | "finished_at" | "-finished_at";

/** The place where a page ended. */
export type Cursor = { readonly id: TaskId; readonly finishedAt: number | null };

export type TaskQuery<P extends Parts = "whole"> = {
  readonly filter: TaskFilter;
  readonly sort: Sort;
  readonly after: Cursor | null;
  readonly limit: number;
  /** The parts that are read of each task; by default the whole task. */
  readonly parts?: P;
};
export type TaskPage<T extends TaskHead = Task> = {
  readonly tasks: readonly T[];
  readonly next: Cursor | null;
};

/** The number of tasks of a type, and the earliest `runAt` of the pending ones; null if none is pending. */
export type TypeCount = {
  readonly type: string;
  readonly counts: Readonly<Record<Status, number>>;
  readonly oldestRunAt: number | null;
};

export type StoredDocument = {
  readonly name: string;
  readonly value: string;
  readonly version: number;
  readonly until: number;
};
export type DocumentWrite = {
  readonly name: string;
  readonly value: string | null;
  readonly until: number;
  readonly ifVersion?: number;
};
export type DocumentAnswer = "ok" | "stale";

export type DocumentPage = { readonly documents: readonly StoredDocument[]; readonly next: string | null };

/** The highest number of documents on one page. */
export const DOCUMENTS_PER_PAGE = 1_000;

export type Ask = {
  readonly worker: string;
  /** Exact types, or prefixes ending in `*`. */
  readonly types: readonly string[];
  readonly max: number;
  readonly leaseMs: number;
  /** How many tasks the worker runs at the same time, if it reports that; stores ignore it. */
  readonly slots?: number;
};
export type ClaimTerms = { readonly now: number; readonly nonce: string };

export type NewLogLine = { readonly level: LogLevel; readonly message: string };
export type Beat = {
  readonly id: TaskId;
  readonly token: string;
  readonly progress: Progress | null;
  readonly log: readonly NewLogLine[];
};
export type BeatAnswer = "ok" | "cancel" | "lost";

/** From the task as it was read to the task that a rule made of it; a light one has only those long texts that the rule set. */
export type Step = { readonly from: LightTask; readonly to: Stepped; readonly once?: OnceDocument };
export type Stepped = LightTask & Partial<Pick<Task, Exclude<keyof Task, keyof LightTask>>>;
export type ReplaceAnswer = "ok" | "stale" | "key_taken";

/** Everything that a store keeps of a task. */
export type TaskRecord = { readonly task: Task; readonly log: readonly LogLine[] };

/** A task, or just this version of it. */
export type TaskRef = { readonly id: TaskId; readonly version?: number; readonly once?: OnceDocument };

/** A document that a step or a deletion writes; an earlier document of that name with an `until` not later than `now` counts as not there. */
export type OnceDocument = Omit<StoredDocument, "version"> & { readonly now: number };

/** A change of a task. The reader asks the store for the present state. */
export type Change = {
  readonly rev: number;
  readonly id: TaskId;
  readonly version: number;
  readonly status: Status;
  readonly kind: ChangeKind;
};
/** `progress` comes at most once a second for each task; if the clock was set back, at once. */
export type ChangeKind = "created" | "changed" | "progress" | "deleted";
/** A place in the change log. Another epoch means that the store was restarted, restored or emptied. */
export type Position = { readonly epoch: string; readonly rev: number };
export type ChangePage =
  | { readonly kind: "changes"; readonly changes: readonly Change[]; readonly position: Position }
  | { readonly kind: "gone"; readonly position: Position; readonly oldest: Position };

export const PROGRESS_CHANGE_EVERY_MS = 1_000;
