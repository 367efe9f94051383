/** The pages' requests as typed hooks. Answers are cached, shared, and updated by live events. */
import {
  type InfiniteData,
  keepPreviousData,
  QueryClient,
  type QueryKey,
  type UseQueryResult,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { LogLine, StatePage, Stats, TaskQuery, TaskState } from "../../src/client/client.ts";
import { isRefusal, TaskTrackError } from "../../src/client/error.ts";
import { type Cell, createCell } from "../app/cell.ts";
import { client, readTask } from "./client.ts";
import { isNewer, type LiveBatch, onLive, withLatest } from "./live.ts";
import { stampReceived } from "./received.ts";
import type { WrittenTask } from "./written.ts";

export type TasksFilter = Omit<TaskQuery, "cursor" | "limit">;

const PAGE = 100;
const STATS_EVERY_MS = 2_000;
const READY_EVERY_MS = 5_000;
const RUNNING_EVERY_MS = 3_000;
/** No event reports a change of the worker or of the queue position, so the page polls. */
const EXPLAIN_EVERY_MS = 5_000;
/** The polling interval for the log of a running task: no event reports log lines. */
const LOG_EVERY_MS = 1_000;
/** The server keeps the last 1,000 lines. A page that is open for longer may show more, up to this limit. */
const LOG_LINES_SHOWN = 5_000;
const RETRIES = 2;

export const queryKeys = {
  tasks: (filter: TasksFilter) => ["tasks", filter] as const,
  count: (filter: TasksFilter) => ["count", filter] as const,
  allTasks: ["tasks"] as const,
  task: (id: number) => ["task", id] as const,
  log: (id: number) => ["log", id] as const,
  explain: (id: number) => ["explain", id] as const,
  gone: (id: number) => ["gone", id] as const,
  stats: ["stats"] as const,
  ready: ["ready"] as const,
};

export const createQueries = (): QueryClient =>
  new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 30_000, // live events keep the data current
        retry: (failures, error) => !isRefusal(error) && failures < RETRIES,
        structuralSharing: false, // it would copy answers, and lose their receive time and keys named "__proto__"
        networkMode: "always", // the server may run on this machine, reachable while the browser is offline
      },
      mutations: { networkMode: "always" },
    },
  });

/** The state of a query for display: its data, or the error of the latest finished attempt. */
export type Asked<T> = {
  readonly data: T | undefined;
  readonly error: Error | null;
  /** There is neither data nor an error yet. */
  readonly isPending: boolean;
  readonly refetch: () => unknown;
};

/**
 * When TanStack Query refetches a query without data, it clears the error and reports the query as pending. A page that polls every
 * two seconds then alternated between error and skeleton, and "Try again" disappeared during a click. This hook keeps the error
 * until an answer arrives.
 */
function useKeptError<T>({ data, error, isPending, refetch }: UseQueryResult<T>): Asked<T> {
  const [kept, setKept] = useState(error);
  if (!isPending && kept !== error) setKept(error);
  const shown = isPending ? kept : error;
  return { data, error: shown, isPending: isPending && shown === null, refetch };
}

const received = <T extends TaskState>(task: T): T => withLatest(stampReceived(task));

/** The matching tasks; `fetchNextPage` adds a page. Live events update rows; `refetch` adds new tasks. */
export const useTasks = (filter: TasksFilter) =>
  useInfiniteQuery({
    queryKey: queryKeys.tasks(filter),
    initialPageParam: "",
    queryFn: async ({ pageParam, signal }): Promise<StatePage> => {
      const cursor = pageParam === "" ? {} : { cursor: pageParam };
      const { tasks, next } = await client.statePage({ ...filter, limit: PAGE, ...cursor, signal });
      return { tasks: tasks.map(received), next };
    },
    getNextPageParam: ({ next }) => next,
    placeholderData: keepPreviousData, // shows the previous rows while a new filter loads
    staleTime: 0, // reloads when the user returns to the page
    refetchOnWindowFocus: false, // rows must not move when the user only switches windows
  });

/** The exact number of matching tasks; null while it loads, and for a text search, where counting is expensive. */
export const useTaskCount = ({ q, ...filter }: TasksFilter): number | null =>
  useQuery({
    enabled: q === undefined,
    queryKey: queryKeys.count(filter),
    queryFn: ({ signal }) => client.count({ ...filter, signal }),
    // Stores maintain counts by type and status. A count by tag reads the tasks, so it is not polled.
    refetchInterval: filter.tag === undefined ? STATS_EVERY_MS : false,
    placeholderData: keepPreviousData,
  }).data ?? null;

/** Drops all pages of a list except the first and reloads that one. */
export function useReadAnew(filter: TasksFilter): () => Promise<void> {
  const queries = useQueryClient();
  return async () => {
    queries.setQueryData<InfiniteData<StatePage>>(queryKeys.tasks(filter), (data) =>
      data === undefined ? data : { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) },
    );
    await Promise.all([
      queries.invalidateQueries({ queryKey: queryKeys.tasks(filter) }),
      queries.invalidateQueries({ queryKey: queryKeys.count(filter) }),
    ]);
  };
}

export const useTask = (id: number): Asked<WrittenTask> => {
  const queries = useQueryClient();
  const query = useQuery({
    enabled: !useIsGone(id),
    queryKey: queryKeys.task(id),
    queryFn: async ({ signal }) => {
      try {
        return received(await readTask(id, { signal }));
      } catch (error) {
        const known = queries.getQueryData<WrittenTask>(queryKeys.task(id));
        if (known === undefined || !isUnknown(error)) throw error;
        queries.setQueryData(queryKeys.gone(id), true); // deleted while the event stream was disconnected
        return known;
      }
    },
    // Events report at most one progress update per second and task.
    refetchInterval: ({ state }) => (state.data?.status === "running" ? RUNNING_EVERY_MS : false),
  });
  return useKeptError(query);
};

export const isUnknown = (error: unknown): error is TaskTrackError =>
  error instanceof TaskTrackError && error.code === "not_found";

/** Whether the task was deleted after it was loaded. The page then shows its last state and stops all requests for it. */
export const useIsGone = (id: number): boolean =>
  useQuery({
    queryKey: queryKeys.gone(id),
    queryFn: () => false,
    initialData: false,
    staleTime: "static",
  }).data;

export const useExplanation = (id: number) =>
  useQuery({
    enabled: !useIsGone(id),
    queryKey: queryKeys.explain(id),
    queryFn: ({ signal }) => client.explain(id, { signal }),
    refetchInterval: EXPLAIN_EVERY_MS,
  });

/** The log so far. Each request asks only for later lines. */
export const useLog = (id: number, isRunning: boolean): Asked<readonly LogLine[]> => {
  const queries = useQueryClient();
  const query = useQuery({
    enabled: !useIsGone(id),
    queryKey: queryKeys.log(id),
    queryFn: async ({ signal }): Promise<readonly LogLine[]> => {
      const known = queries.getQueryData<readonly LogLine[]>(queryKeys.log(id)) ?? [];
      const fresh = await client.log(id, { after: known.at(-1)?.n ?? 0, signal });
      return fresh.length === 0 ? known : [...known, ...fresh].slice(-LOG_LINES_SHOWN);
    },
    refetchInterval: isRunning ? LOG_EVERY_MS : false,
  });
  return useKeptError(query);
};

export const useStats = (): Asked<Stats> =>
  useKeptError(
    useQuery({
      queryKey: queryKeys.stats,
      queryFn: ({ signal }) => client.stats({ signal }),
      refetchInterval: STATS_EVERY_MS,
    }),
  );

/** Whether the server is ready for traffic. "Not ready" is a normal answer, so it is not retried. */
export const useReady = () =>
  useQuery({
    queryKey: queryKeys.ready,
    queryFn: ({ signal }) => client.ready({ signal }),
    refetchInterval: READY_EVERY_MS,
    retry: false,
  });

// ---- events

/** Calls the listener with each batch of events while the component is mounted. */
export function useLive(listener: (batch: LiveBatch) => void): void {
  useEffect(() => onLive(listener), [listener]);
}

/** While true, events do not change lists. The code that sets it to false reloads them. */
export const listsPaused: Cell<boolean> = createCell(false);

/** Applies live events to the cache; returns a function that stops this. Rows keep their positions, so that the list does not jump. */
export const feedQueries = (queries: QueryClient): (() => void) =>
  onLive((batch) => {
    const isPaused = ({ queryKey: [kind] }: { readonly queryKey: QueryKey }): boolean =>
      listsPaused.get() && kind === queryKeys.allTasks[0];
    if (batch.reset) return void queries.invalidateQueries({ predicate: (query) => !isPaused(query) });
    const updates = new Map(batch.tasks.map((task) => [task.id, task]));
    const gone = new Set(batch.deleted);
    if (!listsPaused.get()) {
      queries.setQueriesData<InfiniteData<StatePage>>({ queryKey: queryKeys.allTasks }, (data) =>
        data === undefined ? data : withBatch(data, updates, gone),
      );
    }
    for (const task of batch.tasks) changeTask(queries, task);
    for (const id of gone) queries.setQueryData(queryKeys.gone(id), true);
  });

/** Returns the same object if nothing has changed, so that nothing renders again. */
function withBatch(
  data: InfiniteData<StatePage>,
  updates: ReadonlyMap<number, TaskState>,
  gone: ReadonlySet<number>,
): InfiniteData<StatePage> {
  const touches = ({ id }: TaskState): boolean => updates.has(id) || gone.has(id);
  if (!data.pages.some(({ tasks }) => tasks.some(touches))) return data;
  const pages = data.pages.map((page) =>
    page.tasks.some(touches)
      ? { ...page, tasks: page.tasks.filter(({ id }) => !gone.has(id)).map((task) => merged(task, updates)) }
      : page,
  );
  return { ...data, pages };
}

function merged<T extends TaskState>(task: T, updates: ReadonlyMap<number, TaskState>): T {
  const state = updates.get(task.id);
  return state === undefined || !isNewer(state, task) ? task : stampReceived({ ...task, ...state });
}

/** An event contains neither payload nor result, so a new version is reloaded. */
function changeTask(queries: QueryClient, state: TaskState): void {
  const key = queryKeys.task(state.id);
  const known = queries.getQueryData<WrittenTask>(key);
  if (known === undefined) return;
  queries.setQueryData<WrittenTask>(key, merged(known, new Map([[state.id, state]])));
  if (state.version !== known.version) {
    void queries.invalidateQueries({ queryKey: key });
    void queries.invalidateQueries({ queryKey: queryKeys.log(state.id) });
  }
  void queries.invalidateQueries({ queryKey: queryKeys.explain(state.id) });
}

/** Reloads everything after a change that the page made. */
export function useRefresh(): () => Promise<void> {
  const queries = useQueryClient();
  return () => queries.invalidateQueries();
}
