/**
 * The JSON of the API, with its field names: times are RFC 3339 in UTC ("2026-01-31T12:00:00.000Z"),
 * durations are Go durations ("250ms", "4m2.348s", "1h30m"), ids are whole numbers from 1. A later server may
 * add fields. The compiler compares these types with the schemas of the server (types.test.ts).
 */
import type { AttemptOutcome, LogLevel, Status } from "../core/task.ts";

export type { AttemptOutcome, LogLevel, Status } from "../core/task.ts";

/** Why an attempt failed: a short stable code and a sentence. */
export type Failure = { readonly code: string; readonly message: string };

/** The progress of running work. */
export type Progress = {
  /** From 0 to 100. */
  readonly percent: number;
  readonly message: string;
};

/** An attempt that has ended. */
export type Attempt = {
  readonly attempt: number;
  readonly worker: string;
  readonly started_at: string;
  readonly finished_at: string;
  readonly outcome: AttemptOutcome;
  readonly error: Failure | null;
};

/** A task in an event: all fields but payload and result. */
export type TaskState = {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly status: Status;
  readonly created_at: string;
  /** Time spent working, over all attempts; grows while running. */
  readonly duration: string;
  readonly type: string;
  /** From -1000 to 1000; tasks with a higher priority are claimed first. */
  readonly priority: number;
  readonly tags: readonly string[];
  /** Values by name, such as `{ region: "eu" }`. */
  readonly labels: Readonly<Record<string, string>>;
  /** Unique among tasks that have not ended. */
  readonly key: string | null;
  /** When it is due. */
  readonly run_at: string;
  /** The time limit of one attempt. */
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
  /** Increases with each change, but not with heartbeats, progress and log lines. */
  readonly version: number;
};

/** A whole task. `payload` is the JSON of its creator, `result` that of its worker; null without one. */
export type Task = TaskState & { readonly payload: unknown; readonly result: unknown };

/** A new task. Only `name` is required. */
export type TaskSpec = {
  /** 1 to 255 characters. */
  readonly name: string;
  /** Up to 10,000 characters. */
  readonly description?: string | null | undefined;
  /** The kind of work: workers claim tasks by type. "simulate" unless given. */
  readonly type?: string | undefined;
  /** Any JSON, for the worker. */
  readonly payload?: unknown;
  /**
   * Instead of `payload`: JSON text, which is sent and stored unchanged. Throws TypeError if it is not JSON.
   */
  readonly payloadText?: string | undefined;
  readonly priority?: number | undefined;
  /** When it is due; immediately unless given. Not together with `delay`. */
  readonly run_at?: string | Date | undefined;
  /** The delay until it is due, such as "10m". */
  readonly delay?: string | undefined;
  /** The time limit of one attempt, such as "5m"; none unless given. */
  readonly timeout?: string | null | undefined;
  /** 3 unless given (1 for "simulate"). */
  readonly max_attempts?: number | undefined;
  /** The pause after a failed attempt: random between 0 and min(max, base · 2ⁿ). */
  readonly backoff?: { readonly base: string; readonly max: string } | undefined;
  /** Up to 20. */
  readonly tags?: readonly string[] | undefined;
  /** Up to 20 values by name, such as `{ region: "eu" }`. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Unique among tasks that have not ended: a create with the key of such a task returns its id. */
  readonly key?: string | null | undefined;
};

/** The fields that may be changed: name, description, tags and labels in any status, the others while the task is pending. */
export type TaskPatch = {
  readonly name?: string | undefined;
  readonly description?: string | null | undefined;
  readonly tags?: readonly string[] | undefined;
  /** All labels from now on. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly payload?: unknown;
  /**
   * Instead of `payload`: JSON text, which is sent and stored unchanged. Throws TypeError if it is not JSON.
   */
  readonly payloadText?: string | undefined;
  readonly priority?: number | undefined;
  readonly run_at?: string | Date | undefined;
  readonly timeout?: string | null | undefined;
  readonly max_attempts?: number | undefined;
};

/** All given conditions must hold: one of the statuses, one of the types, all of the tags, all of the labels. */
export type TaskFilter = {
  readonly status?: Status | readonly Status[] | undefined;
  /** A type, or a prefix that ends in `*`. */
  readonly type?: string | readonly string[] | undefined;
  readonly tag?: string | readonly string[] | undefined;
  /** A label as `name:value`. */
  readonly label?: string | readonly string[] | undefined;
  /** Words that name, description or payload contain; `payload.user.name:ann` searches one field. */
  readonly q?: string | undefined;
};

export type Sort = "id" | "-id" | "finished_at" | "-finished_at";

export type TaskQuery = TaskFilter & {
  /** "id" unless given. By `finished_at`, only ended tasks are listed. */
  readonly sort?: Sort | undefined;
  /** The highest number of tasks on a page: 1 to 1,000; 500 unless given. */
  readonly limit?: number | undefined;
  /** `next` of the previous page. */
  readonly cursor?: string | undefined;
};

/** A page of a list. It may be short or even empty while `next` is not null. */
export type TaskPage = { readonly tasks: readonly Task[]; readonly next: string | null };

/** A page of tasks without payload and result. */
export type StatePage = { readonly tasks: readonly TaskState[]; readonly next: string | null };

export type LogLine = {
  /** Counted from 1 over the whole life of the task. */
  readonly n: number;
  readonly at: string;
  readonly level: LogLevel;
  readonly message: string;
};

/** Explains the state of a task. */
export type Explanation = {
  readonly id: number;
  readonly status: Status;
  /**
   * Such as "not_due", "no_worker", "waiting_for_slot", "running", "ended". A later server may add reasons.
   */
  readonly reason: string;
  /** The same in a sentence. */
  readonly message: string;
  /**
   * How many due tasks of its type are before it, counted up to 1,000; null if it does not wait for a worker.
   */
  readonly position: number | null;
  readonly run_at: string;
  readonly attempt: number;
  readonly worker: string | null;
  readonly lease_until: string | null;
  /** The workers for its type that were active in the last minute. */
  readonly workers: readonly string[];
};

type Counts = Readonly<Record<Status, number>>;
type Span = { readonly total: string; readonly longest: string };

/** Statistics of the server, at most a second old. */
export type Stats = {
  readonly counts: Counts;
  readonly types: readonly {
    readonly type: string;
    readonly counts: Counts;
    readonly oldest_run_at: string | null;
  }[];
  readonly oldest_waiting: { readonly type: string; readonly run_at: string; readonly waited: string } | null;
  /** The last hour, oldest first, without minutes in which nothing happened. */
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
    /** How many tasks the worker runs; a lower bound if `workers_complete` is false. */
    readonly running: number;
    readonly slots: number;
    readonly seen_at: string;
    readonly draining: boolean;
    /** The first 100 of these tasks. */
    readonly tasks: readonly number[];
  }[];
  /**
   * False if more than 10,000 tasks run: the lists of the workers then lack the tasks beyond the first
   * 10,000.
   */
  readonly workers_complete: boolean;
  /** The most frequent tags of the latest 1,000 tasks. */
  readonly tags: readonly { readonly tag: string; readonly count: number }[];
};

/** The answer of a server that should get traffic. */
export type Ready = {
  readonly status: "ready";
  /** The store, and what a crash may lose, in a sentence. */
  readonly store: string;
  /**
   * Present if the server has a broker. `away`: the broker does not answer. `blocked`: it accepts no messages
   * because it is short of memory or disk. `no_submissions`: it answers, but the server cannot read the
   * submissions; the server's log has the reason. In every state the server is ready and tasks are worked on.
   */
  readonly broker?: { readonly name: string; readonly state: "up" | "away" | "blocked" | "no_submissions" };
};

export type BulkRequest = {
  /** The tasks to act on. An empty filter is refused unless `all` is true. */
  readonly filter: TaskFilter;
  readonly action: "cancel" | "retry" | "delete";
  readonly all?: boolean | undefined;
  /**
   * Tasks with a higher id are left out. Give `up_to_id` of the preview, so that newer tasks are not changed.
   */
  readonly up_to_id?: number | undefined;
  /** `next` of the previous call. */
  readonly after_id?: number | undefined;
};

/** The tasks that a bulk call would act on. */
export type BulkPreview = { readonly count: number; readonly up_to_id: number; readonly dry_run: true };

export type BulkResult = {
  /** Tasks that were changed. */
  readonly count: number;
  /** Tasks that did not allow the action in their state. */
  readonly refused: number;
  /** If it is not null, there may be more tasks: send it as `after_id` of the next call. */
  readonly next: number | null;
};
