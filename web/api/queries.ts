/** What pages ask the server, as typed hooks. Answers are kept, shared, and changed by the live events. */
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
/** No event tells the worker of a task or its position in line. */
const EXPLAIN_EVERY_MS = 5_000;
/** While a task runs, its log is asked for this often: no event tells of lines. */
const LOG_EVERY_MS = 1_000;
/** The server keeps the last 1,000; a page that watched from the start may show more, but not without end. */
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
        staleTime: 30_000, // the events keep it fresh meanwhile
        retry: (failures, error) => !isRefusal(error) && failures < RETRIES,
        structuralSharing: false, // it copies what it keeps: the time of an answer's coming would be lost, and a key "__proto__"
        networkMode: "always", // "offline" says nothing about a server on this machine
      },
      mutations: { networkMode: "always" },
    },
  });

/** What a page shows of a query: its data, or the error that the latest finished attempt ended with. */
export type Asked<T> = {
  readonly data: T | undefined;
  readonly error: Error | null;
  /** Neither data nor an error is known yet. */
  readonly isPending: boolean;
  readonly refetch: () => unknown;
};

/**
 * The library forgets the error of a query without data when it asks again, and calls the query pending until that attempt ends.
 * A page that asks every two seconds then showed its error and its skeleton in turn, and "Try again" left the page while it was
 * being clicked. Here the error stays until an answer comes.
 */
function useKeptError<T>({ data, error, isPending, refetch }: UseQueryResult<T>): Asked<T> {
  const [kept, setKept] = useState(error);
  if (!isPending && kept !== error) setKept(error);
  const shown = isPending ? kept : error;
  return { data, error: shown, isPending: isPending && shown === null, refetch };
}

const received = <T extends TaskState>(task: T): T => withLatest(stampReceived(task));

/** The tasks that match, a page more with each `fetchNextPage`. Rows change as events tell; new ones come with `refetch`. */
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
    placeholderData: keepPreviousData, // no empty table between two filters
    staleTime: 0, // a page that is opened again shows the changes of the meantime
    refetchOnWindowFocus: false, // but nothing moves when the window only gets the focus again
  });

/** The exact number of matches; null while it is unknown, and for a search, which is expensive to count. */
export const useTaskCount = ({ q, ...filter }: TasksFilter): number | null =>
  useQuery({
    enabled: q === undefined,
    queryKey: queryKeys.count(filter),
    queryFn: ({ signal }) => client.count({ ...filter, signal }),
    // Stores keep counts by type and status; for a tag they read, so that is not asked again and again.
    refetchInterval: filter.tag === undefined ? STATS_EVERY_MS : false,
    placeholderData: keepPreviousData,
  }).data ?? null;

/** What was read of a list beyond its first page is let go, and the first page is read anew. */
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
        queries.setQueryData(queryKeys.gone(id), true); // deleted while no events came
        return known;
      }
    },
    // Of the progress that falls within one second the events tell the first alone.
    refetchInterval: ({ state }) => (state.data?.status === "running" ? RUNNING_EVERY_MS : false),
  });
  return useKeptError(query);
};

export const isUnknown = (error: unknown): error is TaskTrackError =>
  error instanceof TaskTrackError && error.code === "not_found";

/** Whether it was deleted after it was read; what is shown of it is then its last state, and nothing asks for it any more. */
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

/** The log so far; only lines that are not there yet are asked for. */
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

/** Whether the server should get traffic; a "no" is an answer like another. */
export const useReady = () =>
  useQuery({
    queryKey: queryKeys.ready,
    queryFn: ({ signal }) => client.ready({ signal }),
    refetchInterval: READY_EVERY_MS,
    retry: false,
  });

// ---- events

/** Calls with each batch of events while the component is shown. */
export function useLive(listener: (batch: LiveBatch) => void): void {
  useEffect(() => onLive(listener), [listener]);
}

/** While set, lists stay as they were read; they are read again when it is cleared. */
export const listsHeld: Cell<boolean> = createCell(false);

/** Lets the events change what is kept; returns how to stop. Rows stay in their places, so that nothing jumps. */
export const feedQueries = (queries: QueryClient): (() => void) =>
  onLive((batch) => {
    const isHeld = ({ queryKey: [kind] }: { readonly queryKey: QueryKey }): boolean =>
      listsHeld.get() && kind === queryKeys.allTasks[0];
    if (batch.reset) return void queries.invalidateQueries({ predicate: (query) => !isHeld(query) });
    const told = new Map(batch.tasks.map((task) => [task.id, task]));
    const gone = new Set(batch.deleted);
    if (!listsHeld.get()) {
      queries.setQueriesData<InfiniteData<StatePage>>({ queryKey: queryKeys.allTasks }, (data) =>
        data === undefined ? data : withBatch(data, told, gone),
      );
    }
    for (const task of batch.tasks) changeTask(queries, task);
    for (const id of gone) queries.setQueryData(queryKeys.gone(id), true);
  });

/** The same object where nothing has changed, so that nothing is drawn anew. */
function withBatch(
  data: InfiniteData<StatePage>,
  told: ReadonlyMap<number, TaskState>,
  gone: ReadonlySet<number>,
): InfiniteData<StatePage> {
  const touches = ({ id }: TaskState): boolean => told.has(id) || gone.has(id);
  if (!data.pages.some(({ tasks }) => tasks.some(touches))) return data;
  const pages = data.pages.map((page) =>
    page.tasks.some(touches)
      ? { ...page, tasks: page.tasks.filter(({ id }) => !gone.has(id)).map((task) => merged(task, told)) }
      : page,
  );
  return { ...data, pages };
}

function merged<T extends TaskState>(task: T, told: ReadonlyMap<number, TaskState>): T {
  const state = told.get(task.id);
  return state === undefined || !isNewer(state, task) ? task : stampReceived({ ...task, ...state });
}

/** An event brings neither payload nor result, so that each new version is read anew. */
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

/** What a page changes with; the events bring back what came of it. */
export function useRefresh(): () => Promise<void> {
  const queries = useQueryClient();
  return () => queries.invalidateQueries();
}
