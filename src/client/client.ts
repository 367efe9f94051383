/**
 * The SDK's front door: a client of the server, and workers for it. It needs nothing but what the web's standards bring, so it
 * runs on Node.js 20 and later, Bun and Deno.
 */
import { systemChance } from "../lib/system-chance.ts";
import { systemClock } from "../lib/system-clock.ts";
import { type ApiAnswer, type ClientOptions, createApi } from "./api.ts";
import { bodyOf } from "./body.ts";
import { TaskFailed } from "./error.ts";
import { polls } from "./polls.ts";
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
  TaskState,
} from "./types.ts";
import { toQuery, type WatchEvent, type WatchQuery, watchEvents } from "./watch.ts";

export {
  fail,
  type Handler,
  type HandlerContext,
  type HandlerTask,
  snooze,
  type Verdict,
} from "../processor/handler.ts";
export type { ClientOptions, Fetch } from "./api.ts";
export { type FieldFault, TaskFailed, TaskTrackError } from "./error.ts";
export type * from "./types.ts";
export type { WatchEvent, WatchQuery } from "./watch.ts";
export { createWorker, type Worker, type WorkerOptions } from "./worker.ts";

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

/** How long the server is asked to wait for a task's end in one go. */
const WAIT_MS = 30_000;
/** The same where progress is to be shown: an answer comes with the end of the task, or with what there is by then. */
const PROGRESS_WAIT_MS = 1_000;
const PAGE = 500;
const NEVER = new AbortController().signal;
/** A task that changes this often between a read and a call that holds for what was read is not one to wait for. */
const RETRIES_OF_RETRY = 10;

/**
 * A client of the server at this address. It holds no connection and needs no closing.
 * @param url the server's address, such as "http://localhost:8080"; throws TypeError for what is none
 * @example const client = createClient("http://localhost:8080");
 */
export function createClient(url: string, options: ClientOptions = {}): Client {
  const clock = systemClock;
  const api = createApi({ url, options, clock, random: systemChance.random });

  const read = <T>(path: string, { signal }: Cancellable = {}): Promise<T> =>
    api.send<T>({ method: "GET", path, signal }).then(answered);

  // ---- creating

  function post<T>(body: string, options: CreateOptions): Promise<ApiAnswer<T> | null> {
    return api.send<T>({
      method: "POST",
      path: "/api/task",
      body,
      headers: { "idempotency-key": options.idempotencyKey ?? systemChance.nonce() },
      signal: options.signal,
    });
  }

  async function create(spec: TaskSpec, options: CreateOptions = {}): Promise<Created> {
    const answer = await post<{ readonly task_id: number }>(bodyOf(spec), options);
    return { id: answered(answer).task_id, existing: answer?.status === 200 };
  }

  async function createMany(
    specs: readonly TaskSpec[],
    options: CreateOptions = {},
  ): Promise<readonly number[]> {
    const body = `[${specs.map(bodyOf).join()}]`;
    return answered(await post<{ readonly task_ids: readonly number[] }>(body, options)).task_ids;
  }

  // ---- reading

  const get = (id: number, options: Cancellable = {}): Promise<Task> => read(pathOf(id), options);

  async function pageAs<T>(
    view: "full" | "state",
    { signal, limit = PAGE, ...query }: TaskQuery & Cancellable = {},
  ): Promise<{ readonly tasks: readonly T[]; readonly next: string | null }> {
    const path = `/api/task${toQuery({ ...query, limit, view })}`;
    const answer = await api.send<readonly T[]>({ method: "GET", path, signal });
    return { tasks: answered(answer), next: nextCursor(answer?.headers.get("link") ?? "") };
  }

  const page = (query?: TaskQuery & Cancellable): Promise<TaskPage> => pageAs<Task>("full", query);

  async function count({ signal, ...query }: TaskQuery & Cancellable = {}): Promise<number> {
    const path = `/api/task${toQuery({ ...query, limit: 1 })}`;
    const headers = { prefer: "count=exact" };
    const answer = await api.send<unknown>({ method: "GET", path, headers, signal });
    return Number(answer?.headers.get("x-total-count"));
  }

  async function* list(query: TaskQuery & Cancellable = {}): AsyncGenerator<Task, void, void> {
    for (let next: string | null = query.cursor ?? ""; next !== null; ) {
      const { tasks, next: following }: TaskPage = await page(
        next === "" ? query : { ...query, cursor: next },
      );
      yield* tasks;
      next = following;
    }
  }

  // ---- changing

  async function edit(id: number, patch: TaskPatch, options: IfVersion & Cancellable = {}): Promise<void> {
    const { signal, ifVersion } = options;
    const body = bodyOf(patch);
    await api.send({ method: "PATCH", path: pathOf(id), body, headers: stepHeaders(ifVersion), signal });
  }

  async function cancel(id: number, options: IfVersion & Cancellable = {}): Promise<Task> {
    const { signal, ifVersion } = options;
    const answer = await api.send<Task>({
      ...{ method: "POST", path: `${pathOf(id)}/cancel`, headers: stepHeaders(ifVersion), signal },
      doneWhen: ifVersion === undefined ? ["wrong_status"] : ["wrong_status", "version_mismatch"],
    });
    return answer?.body ?? get(id, options);
  }

  async function retry(id: number, options: IfVersion & Cancellable = {}): Promise<Task> {
    for (let tries = 1; ; tries++) {
      const ifVersion = options.ifVersion ?? (await get(id, options)).version;
      try {
        const answer = await api.send<Task>({
          ...{
            method: "POST",
            path: `${pathOf(id)}/retry`,
            headers: stepHeaders(ifVersion),
            signal: options.signal,
          },
          doneWhen: ["version_mismatch"],
        });
        return answer?.body ?? (await get(id, options));
      } catch (error) {
        const isOutdated = isCode(error, "version_mismatch") && options.ifVersion === undefined;
        if (!isOutdated || tries === RETRIES_OF_RETRY) throw error;
      }
    }
  }

  async function remove(id: number, options: IfVersion & Cancellable = {}): Promise<void> {
    const { signal, ifVersion } = options;
    const headers = stepHeaders(ifVersion);
    await api.send({ method: "DELETE", path: pathOf(id), headers, signal, doneWhen: ["not_found"] });
  }

  async function bulkAs<T>(request: BulkRequest & { readonly dry_run?: true }, { signal }: Cancellable = {}) {
    const body = JSON.stringify({ ...request, filter: asLists(request.filter) });
    return answered(await api.send<T>({ method: "POST", path: "/api/task/bulk", body, signal }));
  }

  // ---- waiting

  async function wait(id: number, options: WaitOptions = {}): Promise<Task> {
    const { withinMs = Number.POSITIVE_INFINITY, onProgress, signal } = options;
    const endsAt = clock.monotonic() + withinMs;
    for (let shown = ""; ; ) {
      const leftMs = Math.max(0, endsAt - clock.monotonic());
      const wishMs = Math.ceil(Math.min(leftMs, onProgress === undefined ? WAIT_MS : PROGRESS_WAIT_MS));
      const turn = await polls.begin(signal ?? NEVER);
      if (turn === null) throw signal?.reason;
      const waitMs = turn.mayWait ? wishMs : 0;
      const path = `${pathOf(id)}?wait=${waitMs}ms`;
      const task = answered(await api.send<Task>({ method: "GET", path, waitMs, signal }).finally(turn.end));
      const seen = JSON.stringify([task.status, task.attempt, task.progress]);
      if (seen !== shown) onProgress?.(task);
      shown = seen;
      if (task.finished_at !== null || clock.monotonic() >= endsAt) return task;
      if (!turn.mayWait) await api.pause(Math.min(polls.pauseMs(), endsAt - clock.monotonic()), signal);
    }
  }

  async function run(spec: TaskSpec, options: CreateOptions & WaitOptions = {}): Promise<Task> {
    const { id } = await create(spec, options);
    const task = await wait(id, options);
    if (task.finished_at !== null && task.status !== "done") throw new TaskFailed(task);
    return task;
  }

  return {
    ...{ create, createMany, get, list, page, count, edit, cancel, retry, remove, wait, run },
    statePage: (query) => pageAs<TaskState>("state", query),
    log: (id, { after = 0, signal } = {}) => read(`${pathOf(id)}/log?after=${after}`, { signal }),
    explain: (id, options) => read(`${pathOf(id)}/explain`, options),
    stats: (options) => read("/api/stats", options),
    ready: (options) => read("/readyz", options),
    drain: async (worker, isDraining, { signal } = {}) => {
      const path = `/api/worker/${encodeURIComponent(worker)}/drain`;
      await api.send({ method: isDraining ? "POST" : "DELETE", path, signal });
    },
    bulk: (request, options) => bulkAs<BulkResult>(request, options),
    bulkPreview: (request, options) => bulkAs<BulkPreview>({ ...request, dry_run: true }, options),
    watch: (query = {}) => watchEvents({ api, clock }, query),
  };
}

const pathOf = (id: number): string => `/api/task/${id}`;

/** Also a runtime may send a request again by itself: under its key the server carries it out once. */
const stepHeaders = (version: number | undefined): Record<string, string> => ({
  "idempotency-key": systemChance.nonce(),
  ...(version === undefined ? {} : { "if-match": `"v${version}"` }),
});

/** Only a request that names `doneWhen` is answered with null. */
function answered<T>(answer: ApiAnswer<T> | null): T {
  if (answer === null) throw new Error("the answer was lost");
  return answer.body;
}

const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;

/** The cursor in `<…?cursor=…>; rel="next"`, or null. */
function nextCursor(link: string): string | null {
  const [, target] = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link) ?? [];
  return target === undefined ? null : new URL(target, "http://localhost").searchParams.get("cursor");
}

const asLists = (filter: BulkRequest["filter"]) => ({
  ...filter,
  ...(filter.status === undefined ? {} : { status: [filter.status].flat() }),
  ...(filter.type === undefined ? {} : { type: [filter.type].flat() }),
  ...(filter.tag === undefined ? {} : { tag: [filter.tag].flat() }),
});
