/**
 * The port behind which tasks live. A store knows no rule of a task's life: it hands out ids, finds tasks, and
 * replaces version n by version n + 1 if nobody was faster. Only `claim` and `extend` also do in one round trip
 * what `core/lifecycle` says; the exam (store.suite.ts) holds them against it.
 *
 * Every method is atomic in itself unless its words say otherwise, and durable (as far as the store is) before it
 * answers. Each change of a task but a bare renewal is in the change log in the same commit. A store that cannot
 * answer rejects with `store_unavailable` (the write may have happened) or, when it has proof that nothing was
 * written, with `store_rejected`.
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
  /** What keeps the tasks, and what of an answered write a crash may lose: one sentence for /readyz and the log. */
  readonly durability: string;

  /**
   * Creates tasks; the drafts are the store's from now on. Each request is whole or not at all, and all
   * requests of a call commit together; one with more than 1,000 drafts in all may commit in several pieces. Ids are given
   * in the order of the drafts, from 1, each once in the store's life; a repeated or refused request skips none.
   * - A draft whose `key` a live task holds (of an earlier request in the call, too) stands for that task:
   *   `existing: true`. Two drafts of one request never bear the same key; the caller has seen to it.
   * - With `idempotency`: where (scope, key) is known and `until` is later than now, nothing is created; the answer is
   *   the first one's ids when the fingerprint agrees, else `mismatch`.
   */
  insert(requests: readonly InsertRequest[], now: number): Promise<InsertAnswer[]>;

  /**
   * The tasks of these ids in this order, null where there is none; of each task the parts that are asked for, whole ones
   * unless something else is said. An answer ends at about ANSWER_BYTES (core/text-size.ts) of the text of these parts: it
   * may be shorter than the list of ids, but has at least one entry where one is asked for. Who wants the others asks again.
   */
  get<P extends Parts = "whole">(ids: readonly TaskId[], parts?: P): Promise<(TaskParts[P] | null)[]>;

  /**
   * One page of the tasks that the filter takes, in the order of `sort`, after the cursor. Work is bounded: a page may
   * be short or empty while `next` is not null. Pages are no snapshot, but walking `next` until it is null shows every
   * task that lives and matches throughout exactly once. A page ends at about ANSWER_BYTES of the text of the parts that are
   * asked for; its first task comes whatever its size.
   */
  list<P extends Parts = "whole">(query: TaskQuery<P>): Promise<TaskPage<TaskParts[P]>>;

  /** How many tasks the filter takes. Not atomic: counted in pieces. */
  count(filter: TaskFilter): Promise<number>;

  /**
   * Exact counts by type and status of all types that have tasks, in the order of their names (by code unit), as they are in
   * one commit; where there are hundreds of types, a store may read them in pieces, each type's counts as they are in one commit. The
   * earliest `runAt` may be of a moment later. Its cost depends on the number of types and of their lanes, not
   * of tasks: each change counts in its own commit.
   */
  census(): Promise<TypeCount[]>;

  /**
   * How many due pending tasks of its type stand before this pending task in `claimOrder`, counted no further than `atMost`;
   * null when the task is not pending, or not there. For who waits to know about: not atomic, and work is bounded by `atMost`
   * and the number of the type's lanes.
   */
  ahead(id: TaskId, now: number, atMost: number): Promise<number | null>;

  /**
   * Claims due tasks, as `lifecycle.claim` does, for many askers at once: in order of arrival each gets the best
   * (`claimOrder`) of what its types name and earlier ones left, up to its `max`. Its cost depends on what is given
   * out and on the number of lanes, not on the backlog. Two claims never get the same version of a task.
   * A call hands out at most about ANSWER_BYTES (core/text-size.ts) of tasks in all, and at least one task where one is due. At the bound the
   * ask that is being served ends short of its `max`, and the asks after it get nothing; what they did not get stays pending.
   */
  claim(asks: readonly Ask[], terms: ClaimTerms): Promise<RunningTask[][]>;

  /**
   * Renews leases, as `lifecycle.extend` does, and in the same commit stores progress and appends log lines
   * (progress is a change, log lines alone are not). A lease is held by its token while the task runs, also past its end: a
   * beat that comes late but before the lease was judged renews it. A beat that finds its lease gone is answered `lost` and
   * changes nothing; the others are not affected by it.
   */
  extend(beats: readonly Beat[], now: number): Promise<BeatAnswer[]>;

  /**
   * Writes steps, each on its own and in their order: `ok` only if the stored task still has `from.version` and, where it runs, the
   * lease's `until` that `from` saw; else `stale`. A step out of an end back to life is `key_taken` while another live
   * task holds its key. A call bears at most one step a task. Only what differs is written: a payload or a result that `to`
   * does not have, because the task was read without it, stays as it is in the store.
   * A step with `once` is also `stale`, and never `key_taken`, where a note of that name is there; where it is written, the note is written in the same
   * commit. So a step that comes twice is done once, and the second one finds in the note what the first one did.
   */
  replace(steps: readonly Step[]): Promise<ReplaceAnswer[]>;

  /**
   * Deletes tasks with their logs; false where there is none, or none of that version. With `once`: as in `replace`, and false where
   * the note is there.
   */
  remove(refs: readonly TaskRef[]): Promise<boolean[]>;

  /**
   * Takes over tasks of another store as they are, each with its log: id, version, history, lease. One whose id is here
   * already is left as it is. The call is whole or not at all, `key_taken` where a live task here holds the key of one of
   * them. Each is in the change log as created; ids that are given later are higher than all of these. Answers how many were
   * taken over. For moving house, when nobody else writes.
   */
  restore(records: readonly TaskRecord[]): Promise<number>;

  /**
   * The task's log lines with n > after, oldest first; the last LIMITS.logLinesKept are kept. They are numbered from 1
   * through the task's whole life. `[]` without a task.
   */
  readLog(id: TaskId, after: number): Promise<LogLine[]>;

  /**
   * The change log after a position, in order of commit: no reader ever misses a change that commits behind what it
   * has read. `null` asks for the present end. `gone` when the position is of another epoch, older than what is kept
   * or ahead of the log; the reader starts anew from the position that comes with it, which is the present end, or reads all that is
   * kept from `oldest` on. A new epoch (a server that was restarted, a replica that was promoted) goes on with the revs of
   * the one before, as far as that was kept: a rev that was read back from the store itself means the same place in both.
   */
  changes(after: Position | null, limit: number): Promise<ChangePage>;

  /**
   * Calls `ring` soon after each commit (once for many is fine; a lost ring is allowed: whoever must not miss a change
   * also polls). `due` names the types of which tasks have become pending in it, so that who waits for work need not
   * ask after every commit; null when the store cannot tell, as after it was away. What was deleted makes
   * nothing due.
   */
  watch(ring: (due: readonly string[] | null) => void): () => void;

  /**
   * Writes notes: small documents beside the tasks, each under a name, for what processes tell one another. Each stands for
   * itself: `ok` only where the stored version is `ifVersion` (0: none is there; not given: whatever is there), else `stale`.
   * Versions rise by one from 1; a null value deletes. A note whose `until` is not later than now counts as not there and is
   * cleared away at leisure. Not in the change log; rings nobody. A call bears a name at most once; names are up to 255
   * printable ASCII characters, values up to 64 KiB of text: the caller has seen to it.
   */
  writeNotes(writes: readonly NoteWrite[], now: number): Promise<NoteWritten[]>;

  /**
   * One page of the notes whose names begin with the prefix, are higher than `after` and whose time is not over, in the order of
   * their names. A page ends at NOTES_READ notes, or at about ANSWER_BYTES of their text; `next` is then the `after` of the
   * next page, else null. Pages are no snapshot.
   */
  readNotes(prefix: string, now: number, after?: string): Promise<NotePage>;

  /** The store's clock, epoch milliseconds: the one that all processes on it go by. */
  now(): Promise<number>;

  /** Lets go of everything. What is under way may fail; safe twice. */
  close(): Promise<void>;
}

export type Idempotency = {
  readonly scope: string;
  readonly key: string;
  /** Of the request's body: the same key with another one is refused. */
  readonly fingerprint: string;
  readonly until: number;
};

export type InsertRequest = { readonly drafts: readonly Draft[]; readonly idempotency: Idempotency | null };
export type Inserted = { readonly id: TaskId; readonly existing: boolean };
export type InsertAnswer =
  | { readonly kind: "created" | "repeated"; readonly tasks: readonly Inserted[] }
  | { readonly kind: "mismatch" };

/** All that is given must hold; a list holds when one of its members does (`tags`: when all do). */
export type TaskFilter = {
  readonly statuses?: readonly Status[];
  /** Exact types, or prefixes ending in `*`. */
  readonly types?: readonly string[];
  readonly tags?: readonly string[];
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

/** Where a page ended. */
export type Cursor = { readonly id: TaskId; readonly finishedAt: number | null };

export type TaskQuery<P extends Parts = "whole"> = {
  readonly filter: TaskFilter;
  readonly sort: Sort;
  readonly after: Cursor | null;
  readonly limit: number;
  /** What is needed of each task; whole ones unless it is said. */
  readonly parts?: P;
};
export type TaskPage<T extends TaskHead = Task> = {
  readonly tasks: readonly T[];
  readonly next: Cursor | null;
};

/** How many tasks of a type there are, and the earliest `runAt` of those that are pending; null where none is. */
export type TypeCount = {
  readonly type: string;
  readonly counts: Readonly<Record<Status, number>>;
  readonly oldestRunAt: number | null;
};

export type Note = {
  readonly name: string;
  readonly value: string;
  readonly version: number;
  readonly until: number;
};
export type NoteWrite = {
  readonly name: string;
  readonly value: string | null;
  readonly until: number;
  readonly ifVersion?: number;
};
export type NoteWritten = "ok" | "stale";

export type NotePage = { readonly notes: readonly Note[]; readonly next: string | null };

/** Notes that one page holds at most. */
export const NOTES_READ = 1_000;

export type Ask = {
  readonly worker: string;
  /** Exact types, or prefixes ending in `*`. */
  readonly types: readonly string[];
  readonly max: number;
  readonly leaseMs: number;
  /** How many tasks it works on at once, where it says so; no store's business. */
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

/** From the task as it was read to the task that a rule made of it; a light one has only the long texts that the rule has set. */
export type Step = { readonly from: LightTask; readonly to: Stepped; readonly once?: OnceNote };
export type Stepped = LightTask & Partial<Pick<Task, "payload" | "result">>;
export type ReplaceAnswer = "ok" | "stale" | "key_taken";

/** All that a store knows of a task. */
export type TaskRecord = { readonly task: Task; readonly log: readonly LogLine[] };

/** A task, or just this version of it. */
export type TaskRef = { readonly id: TaskId; readonly version?: number; readonly once?: OnceNote };

/** A note that a step or a deletion writes; a note of that name whose `until` is not later than `now` counts as not there. */
export type OnceNote = Omit<Note, "version"> & { readonly now: number };

/** Says what happened to a task, not what it is now: for that the reader asks the store. */
export type Change = {
  readonly rev: number;
  readonly id: TaskId;
  readonly version: number;
  readonly status: Status;
  readonly kind: ChangeKind;
};
/** `progress` comes at most once a second a task; where the clock was set back, at once. */
export type ChangeKind = "created" | "changed" | "progress" | "deleted";
/** A place in the change log. Another epoch means another life of the store. */
export type Position = { readonly epoch: string; readonly rev: number };
export type ChangePage =
  | { readonly kind: "changes"; readonly changes: readonly Change[]; readonly position: Position }
  | { readonly kind: "gone"; readonly position: Position; readonly oldest: Position };

export const PROGRESS_CHANGE_EVERY_MS = 1_000;
