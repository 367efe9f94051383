/**
 * What goes over the wire, in the API's own words: times are RFC 3339 in UTC ("2026-01-31T12:00:00.000Z"), durations are Go's
 * ("250ms", "4m2.348s", "1h30m"), ids are whole numbers from 1. A later server may add fields.
 */
import type { AttemptOutcome, LogLevel, Status } from "../core/task.ts";

export type { AttemptOutcome, LogLevel, Status } from "../core/task.ts";

/** Why an attempt failed: a short stable word and a sentence. */
export type Failure = { readonly code: string; readonly message: string };

/** How far running work is. */
export type Progress = {
  /** From 0 to 100. */
  readonly percent: number;
  readonly message: string;
};

/** One ended attempt. */
export type Attempt = {
  readonly attempt: number;
  readonly worker: string;
  readonly started_at: string;
  readonly finished_at: string;
  readonly outcome: AttemptOutcome;
  readonly error: Failure | null;
};

/** A task as an event brings it: all but payload and result. */
export type TaskState = {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly status: Status;
  readonly created_at: string;
  /** Time spent working, over all attempts; grows while running. */
  readonly duration: string;
  readonly type: string;
  /** From -1000 to 1000; higher goes first. */
  readonly priority: number;
  readonly tags: readonly string[];
  /** Unique among live tasks. */
  readonly key: string | null;
  /** When it is due. */
  readonly run_at: string;
  /** The limit of one attempt. */
  readonly timeout: string | null;
  /** The number of the current or latest start; 0 before the first. */
  readonly attempt: number;
  readonly max_attempts: number;
  readonly progress: Progress | null;
  /** Why the latest failed attempt failed. */
  readonly error: Failure | null;
  /** The last 20 attempts that have ended. */
  readonly attempts: readonly Attempt[];
  readonly cancel_requested: boolean;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly updated_at: string;
  /** Rises with each change but heartbeats, progress and log lines. */
  readonly version: number;
};

/** A whole task. `payload` is what its creator sent, `result` what its worker returned: any JSON, null without one. */
export type Task = TaskState & { readonly payload: unknown; readonly result: unknown };

/** A new task. Only `name` is needed. */
export type TaskSpec = {
  /** 1 to 255 characters. */
  readonly name: string;
  /** Up to 10,000 characters. */
  readonly description?: string | null | undefined;
  /** Who works on it: workers ask by type. "simulate" unless given. */
  readonly type?: string | undefined;
  /** Any JSON, for the worker. */
  readonly payload?: unknown;
  /** In place of `payload`: JSON text, which is sent and kept unchanged. Throws TypeError if it is not JSON. */
  readonly payloadText?: string | undefined;
  readonly priority?: number | undefined;
  /** When it is due; at once unless given. Not together with `delay`. */
  readonly run_at?: string | Date | undefined;
  /** How long from now it is due, such as "10m". */
  readonly delay?: string | undefined;
  /** The limit of one attempt, such as "5m"; none unless given. */
  readonly timeout?: string | null | undefined;
  /** 3 unless given (1 for "simulate"). */
  readonly max_attempts?: number | undefined;
  /** How long failed attempts wait before the next: between 0 and min(max, base · 2ⁿ). */
  readonly backoff?: { readonly base: string; readonly max: string } | undefined;
  /** Up to 20. */
  readonly tags?: readonly string[] | undefined;
  /** Unique among live tasks: creating a second one gives the first one's id. */
  readonly key?: string | null | undefined;
};

/** What may be changed: the first three always, the others while the task is pending. */
export type TaskPatch = {
  readonly name?: string | undefined;
  readonly description?: string | null | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly payload?: unknown;
  /** In place of `payload`: JSON text, which is sent and kept unchanged. Throws TypeError if it is not JSON. */
  readonly payloadText?: string | undefined;
  readonly priority?: number | undefined;
  readonly run_at?: string | Date | undefined;
  readonly timeout?: string | null | undefined;
  readonly max_attempts?: number | undefined;
};

/** All that is given must hold; of several statuses or types one, of several tags all. */
export type TaskFilter = {
  readonly status?: Status | readonly Status[] | undefined;
  /** A type, or a prefix that ends in `*`. */
  readonly type?: string | readonly string[] | undefined;
  readonly tag?: string | readonly string[] | undefined;
  /** Words that name, description or payload contain; `payload.user.name:ann` looks at one field. */
  readonly q?: string | undefined;
};

export type Sort = "id" | "-id" | "finished_at" | "-finished_at";

export type TaskQuery = TaskFilter & {
  /** "id" unless given; by the time of their end only ended tasks are listed. */
  readonly sort?: Sort | undefined;
  /** How many a page holds at most: 1 to 1,000; 500 unless given. */
  readonly limit?: number | undefined;
  /** Where to go on: a page's `next`. */
  readonly cursor?: string | undefined;
};

/** A page of a list. It may be short or even empty while `next` is not null. */
export type TaskPage = { readonly tasks: readonly Task[]; readonly next: string | null };

/** The same of tasks without payload and result. */
export type StatePage = { readonly tasks: readonly TaskState[]; readonly next: string | null };

export type LogLine = {
  /** Numbered from 1 through the task's whole life. */
  readonly n: number;
  readonly at: string;
  readonly level: LogLevel;
  readonly message: string;
};

/** Why a task stands where it stands. */
export type Explanation = {
  readonly id: number;
  readonly status: Status;
  /** Such as "not_due", "no_worker", "waiting_for_slot", "running", "ended"; a later server may know more. */
  readonly reason: string;
  /** The same in a sentence. */
  readonly message: string;
  /** Due tasks of its type that go first, counted up to 1,000; null where it is not in line. */
  readonly position: number | null;
  readonly run_at: string;
  readonly attempt: number;
  readonly worker: string | null;
  readonly lease_until: string | null;
  /** Those heard of in the last minute that take its type. */
  readonly workers: readonly string[];
};

type Counts = Readonly<Record<Status, number>>;
type Span = { readonly total: string; readonly longest: string };

/** How the whole stands, at most a second old. */
export type Stats = {
  readonly counts: Counts;
  readonly types: readonly {
    readonly type: string;
    readonly counts: Counts;
    readonly oldest_run_at: string | null;
  }[];
  readonly oldest_waiting: { readonly type: string; readonly run_at: string; readonly waited: string } | null;
  /** The last hour, oldest first; minutes in which nothing happened are left out. */
  readonly minutes: readonly {
    readonly at: string;
    readonly created: number;
    readonly done: number;
    readonly failed: number;
    readonly cancelled: number;
    readonly retried: number;
    readonly lost: number;
    readonly wait: Span;
    readonly run: Span;
  }[];
  readonly workers: readonly {
    readonly worker: string;
    readonly types: readonly string[];
    /** How many tasks the worker runs; a lower bound where `workers_complete` is false. */
    readonly running: number;
    readonly slots: number;
    readonly seen_at: string;
    readonly draining: boolean;
    /** The first 100 of these tasks. */
    readonly tasks: readonly number[];
  }[];
  /** False where more than 10,000 tasks run: the workers' lists then lack the tasks beyond the first 10,000. */
  readonly workers_complete: boolean;
  /** The commonest among the latest 1,000 tasks. */
  readonly tags: readonly { readonly tag: string; readonly count: number }[];
};

/** What a server that should get traffic says of itself. */
export type Ready = {
  readonly status: "ready";
  /** What keeps the tasks, and what of them a crash may lose, in a sentence. */
  readonly store: string;
  /**
   * Present if the server has a broker. `away`: the broker does not answer. `blocked`: it accepts no messages because it is short of
   * memory or disk. `no_submissions`: it answers, but the server cannot read the submissions; the server's log says why. In every
   * state the server is ready and tasks are worked on.
   */
  readonly broker?: { readonly name: string; readonly state: "up" | "away" | "blocked" | "no_submissions" };
};

export type BulkRequest = {
  /** Which tasks. An empty filter is refused unless `all` is true. */
  readonly filter: TaskFilter;
  readonly action: "cancel" | "retry" | "delete";
  readonly all?: boolean | undefined;
  /** Tasks with a higher id are left alone: `up_to_id` of a dry run, so that nothing newer is touched. */
  readonly up_to_id?: number | undefined;
  /** Where to go on: `next` of the call before. */
  readonly after_id?: number | undefined;
};

/** What a bulk call would do. */
export type BulkPreview = { readonly count: number; readonly up_to_id: number; readonly dry_run: true };

export type BulkResult = {
  /** Tasks that were changed. */
  readonly count: number;
  /** Tasks whose status did not allow it. */
  readonly refused: number;
  /** Not null: there may be more; go on with it as `after_id`. */
  readonly next: number | null;
};
