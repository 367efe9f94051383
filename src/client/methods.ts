/** The interface of the client, and the options of its methods. */
import type {
  BulkPreview,
  BulkRequest,
  BulkResult,
  Explanation,
  LogLine,
  Ready,
  StatePage,
  Stats,
  Task,
  TaskPage,
  TaskPatch,
  TaskQuery,
  TaskSpec,
} from "./types.ts";
import type { WatchEvent, WatchQuery } from "./watch.ts";

/** The signal ends the call, not the task: the promise rejects with its reason. */
export type Cancellable = { readonly signal?: AbortSignal | undefined };

/**
 * The call has an effect only while the task has this version; else it is refused with `version_mismatch`
 * (412).
 */
export type IfVersion = { readonly ifVersion?: number | undefined };

export type CreateOptions = Cancellable & {
  /**
   * For 24 hours, the same key with the same task gets the first answer again. The client makes a key for
   * each call, so that its own retries create nothing twice. Give a key that outlives your process if you
   * repeat calls yourself.
   */
  readonly idempotencyKey?: string | undefined;
};

/** `existing`: a task with the same `key` had not ended, and this is its id. */
export type Created = { readonly id: number; readonly existing: boolean };

export type WaitOptions = Cancellable & {
  /** How long to wait for the end, in milliseconds; without a limit unless given. */
  readonly withinMs?: number | undefined;
  /** Is called with the task whenever its status or progress has changed. */
  readonly onProgress?: ((task: Task) => void) | undefined;
};

/** Each method rejects with TaskTrackError if it is refused, or if there is no answer after all retries. */
export interface Client {
  /**
   * Submits a task; resolves as soon as the server has it.
   * @example const { id } = await client.create({ name: "thumbnails", type: "image.resize", payload: { width: 640 } });
   */
  create(spec: TaskSpec, options?: CreateOptions): Promise<Created>;

  /**
   * Submits 1 to 1,000 tasks, all or none; resolves with their ids in the same order.
   * @example const ids = await client.createMany(files.map((file) => ({ name: file, type: "scan", payload: { file } })));
   */
  createMany(specs: readonly TaskSpec[], options?: CreateOptions): Promise<readonly number[]>;

  /**
   * Reads a whole task; `not_found` if there is none.
   * @example const { status, progress } = await client.get(7);
   */
  get(id: number, options?: Cancellable): Promise<Task>;

  /**
   * Reads all tasks that match, page by page on demand. Not a snapshot: a task that exists and matches all
   * the time is seen exactly once.
   * @example for await (const task of client.list({ status: "failed", type: "video.*" })) console.log(task.id, task.error);
   */
  list(query?: TaskQuery & Cancellable): AsyncIterable<Task>;

  /**
   * Reads one page. Keep `next` to continue later.
   * @example const { tasks, next } = await client.page({ status: "done", limit: 50 });
   */
  page(query?: TaskQuery & Cancellable): Promise<TaskPage>;

  /**
   * Reads one page of tasks without payload and result, which may be long.
   * @example const { tasks, next } = await client.statePage({ sort: "-id", limit: 100 });
   */
  statePage(query?: TaskQuery & Cancellable): Promise<StatePage>;

  /**
   * Counts the tasks that match, exactly; not with `q`.
   * @example const failed = await client.count({ status: "failed" });
   */
  count(query?: Omit<TaskQuery, "q" | "limit" | "cursor"> & Cancellable): Promise<number>;

  /**
   * Changes the fields that the patch names.
   * @example await client.edit(7, { name: "another name" });
   */
  edit(id: number, patch: TaskPatch, options?: IfVersion & Cancellable): Promise<void>;

  /**
   * Ends a pending task; asks a running one to stop (`cancel_requested`), for which its worker has 30
   * seconds. Resolves with the task after that. `wrong_status` if it has ended already.
   * @example await client.cancel(7);
   */
  cancel(id: number, options?: IfVersion & Cancellable): Promise<Task>;

  /**
   * Makes an ended task pending again and counts its attempts from 0. `wrong_status` if it has not ended,
   * `key_taken` if another task with its key has not ended. The task is read first, and the call applies only to that
   * version, so that a repeated call never retries it twice.
   * @example await client.retry(7);
   */
  retry(id: number, options?: IfVersion & Cancellable): Promise<Task>;

  /**
   * Deletes a task in any status; running work is aborted and its result is dropped.
   * @example await client.remove(7);
   */
  remove(id: number, options?: IfVersion & Cancellable): Promise<void>;

  /**
   * Reads the log lines of a task with a number above `after`, oldest first; the last 1,000 are kept.
   * @example const lines = await client.log(7);
   */
  log(
    id: number,
    options?: Cancellable & { readonly after?: number | undefined },
  ): Promise<readonly LogLine[]>;

  /**
   * Explains the state of a task: why it is not running yet, or how it ended.
   * @example console.log((await client.explain(7)).message);
   */
  explain(id: number, options?: Cancellable): Promise<Explanation>;

  /** Counts, throughput, waiting and run times, workers. */
  stats(options?: Cancellable): Promise<Stats>;

  /**
   * Resolves if the server should get traffic, with its store; rejects with `not_ready` and the reason if
   * not.
   * @example const { store } = await client.ready();
   */
  ready(options?: Cancellable): Promise<Ready>;

  /**
   * Tells a worker to finish its tasks and to take no more, for twelve hours; `isDraining` false reverses
   * that.
   * @example await client.drain("gpu-1", true);
   */
  drain(worker: string, isDraining: boolean, options?: Cancellable): Promise<void>;

  /**
   * Cancels, retries or deletes all tasks that match, up to 10,000 in a call: while `next` is not null, call
   * again with it as `after_id`. The rules apply to each task by itself: some may be refused.
   * @example
   * const { up_to_id } = await client.bulkPreview({ filter: { status: "failed" }, action: "retry" });
   * await client.bulk({ filter: { status: "failed" }, action: "retry", up_to_id });
   */
  bulk(request: BulkRequest, options?: Cancellable): Promise<BulkResult>;

  /** Counts the tasks that `bulk` would act on, without changing them. */
  bulkPreview(request: BulkRequest, options?: Cancellable): Promise<BulkPreview>;

  /**
   * Resolves with the task as soon as it has ended, or after `withinMs` in its state then.
   * @example const task = await client.wait(7, { withinMs: 60_000 });
   */
  wait(id: number, options?: WaitOptions): Promise<Task>;

  /**
   * Submits a task and waits for its end: resolves if it is done, rejects with TaskFailed if it failed or was
   * cancelled. The signal ends only the wait; to stop the work, `cancel` the task.
   * @example
   * const { result } = await client.run(
   *   { name: "thumbnails", type: "image.resize", payload: { width: 640 } },
   *   { onProgress: ({ progress }) => console.log(progress?.percent) },
   * );
   */
  run(spec: TaskSpec, options?: CreateOptions & WaitOptions): Promise<Task>;

  /**
   * Follows the changes of tasks, across broken connections and restarts of the server, until the signal
   * aborts or the loop is left.
   * @example
   * for await (const event of client.watch({ type: "image.*" })) {
   *   if (event.kind === "task") console.log(event.task.id, event.task.status);
   * }
   */
  watch(query?: WatchQuery): AsyncIterable<WatchEvent>;
}
