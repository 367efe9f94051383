/** What a client can do. */
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

/** Stops the waiting, not the task: the promise rejects with the signal's reason. */
export type Cancellable = { readonly signal?: AbortSignal | undefined };

/** Change it only while it has this version: else `version_mismatch` (412), and nothing has changed. */
export type IfVersion = { readonly ifVersion?: number | undefined };

export type CreateOptions = Cancellable & {
  /**
   * The same key with the same task gives the first answer again for 24 hours. The client makes one for each call by itself, so
   * that its own repeated tries create nothing twice; bring one that outlives your process where you repeat calls yourself.
   */
  readonly idempotencyKey?: string | undefined;
};

/** `existing`: a live task with the same `key` was there already, and this is its id. */
export type Created = { readonly id: number; readonly existing: boolean };

export type WaitOptions = Cancellable & {
  /** How long to wait for the end, in milliseconds; for ever unless given. */
  readonly withinMs?: number | undefined;
  /** Is called with the task whenever its status or progress is seen to have changed. */
  readonly onProgress?: ((task: Task) => void) | undefined;
};

/** Every method rejects with TaskTrackError when it is refused, or when nobody answers however often it asks. */
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
   * The whole task as it stands; `not_found` without one.
   * @example const { status, progress } = await client.get(7);
   */
  get(id: number, options?: Cancellable): Promise<Task>;

  /**
   * All tasks that match, page by page as they are asked for. No snapshot: one that lives and matches throughout is seen exactly
   * once.
   * @example for await (const task of client.list({ status: "failed", type: "video.*" })) console.log(task.id, task.error);
   */
  list(query?: TaskQuery & Cancellable): AsyncIterable<Task>;

  /**
   * One page, for who keeps `next` and goes on later.
   * @example const { tasks, next } = await client.page({ status: "done", limit: 50 });
   */
  page(query?: TaskQuery & Cancellable): Promise<TaskPage>;

  /**
   * One page of tasks without payload and result, which may be long: for who shows many.
   * @example const { tasks, next } = await client.statePage({ sort: "-id", limit: 100 });
   */
  statePage(query?: TaskQuery & Cancellable): Promise<StatePage>;

  /**
   * How many tasks match, exactly; not with `q`.
   * @example const failed = await client.count({ status: "failed" });
   */
  count(query?: Omit<TaskQuery, "q" | "limit" | "cursor"> & Cancellable): Promise<number>;

  /**
   * Changes what the patch names.
   * @example await client.edit(7, { name: "another name" });
   */
  edit(id: number, patch: TaskPatch, options?: IfVersion & Cancellable): Promise<void>;

  /**
   * Ends a pending task; asks a running one to stop (`cancel_requested`), which its worker has 30 seconds to heed. Resolves with
   * the task as it stands then. `wrong_status` where it has ended already.
   * @example await client.cancel(7);
   */
  cancel(id: number, options?: IfVersion & Cancellable): Promise<Task>;

  /**
   * Makes an ended task pending again, its attempts counted anew. `wrong_status` where it has not ended, `key_taken` where another
   * live task holds its key. It is read first and the call holds for that version alone, so that a repeated try never retries
   * a task twice.
   * @example await client.retry(7);
   */
  retry(id: number, options?: IfVersion & Cancellable): Promise<Task>;

  /**
   * Deletes a task in any status; running work is aborted and its result goes nowhere.
   * @example await client.remove(7);
   */
  remove(id: number, options?: IfVersion & Cancellable): Promise<void>;

  /**
   * The task's log lines with a number above `after`, oldest first; the last 1,000 are kept.
   * @example const lines = await client.log(7);
   */
  log(
    id: number,
    options?: Cancellable & { readonly after?: number | undefined },
  ): Promise<readonly LogLine[]>;

  /**
   * Why the task stands where it stands.
   * @example console.log((await client.explain(7)).message);
   */
  explain(id: number, options?: Cancellable): Promise<Explanation>;

  /** Counts, throughput, waiting and run times, workers. */
  stats(options?: Cancellable): Promise<Stats>;

  /**
   * Whether the server should get traffic, and what keeps its tasks; rejects with `not_ready` and the reason while it should not.
   * @example const { store } = await client.ready();
   */
  ready(options?: Cancellable): Promise<Ready>;

  /**
   * Tells a worker to finish what it has and to take no more, for twelve hours; `isDraining` false takes that back.
   * @example await client.drain("gpu-1", true);
   */
  drain(worker: string, isDraining: boolean, options?: Cancellable): Promise<void>;

  /**
   * Cancels, retries or deletes all tasks that match, up to 10,000 a call: while `next` is not null, call again with it as
   * `after_id`. Each task by its own rules; not all or none.
   * @example
   * const { up_to_id } = await client.bulkPreview({ filter: { status: "failed" }, action: "retry" });
   * await client.bulk({ filter: { status: "failed" }, action: "retry", up_to_id });
   */
  bulk(request: BulkRequest, options?: Cancellable): Promise<BulkResult>;

  /** What `bulk` would do, without doing it. */
  bulkPreview(request: BulkRequest, options?: Cancellable): Promise<BulkPreview>;

  /**
   * Resolves with the task as soon as it has ended, or as it stands when `withinMs` are over.
   * @example const task = await client.wait(7, { withinMs: 60_000 });
   */
  wait(id: number, options?: WaitOptions): Promise<Task>;

  /**
   * Submits a task and waits for its end: resolves when it is done, rejects with TaskFailed when it failed or was cancelled. The
   * signal stops the waiting alone; to stop the work, `cancel` it.
   * @example
   * const { result } = await client.run(
   *   { name: "thumbnails", type: "image.resize", payload: { width: 640 } },
   *   { onProgress: ({ progress }) => console.log(progress?.percent) },
   * );
   */
  run(spec: TaskSpec, options?: CreateOptions & WaitOptions): Promise<Task>;

  /**
   * What happens to tasks, as it happens, through broken connections and restarts of the server, until the signal aborts or the
   * loop is left.
   * @example
   * for await (const event of client.watch({ type: "image.*" })) {
   *   if (event.kind === "task") console.log(event.task.id, event.task.status);
   * }
   */
  watch(query?: WatchQuery): AsyncIterable<WatchEvent>;
}
