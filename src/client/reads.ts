/** The methods of the client that read. */
import type { Api } from "./api.ts";
import type { Cancellable, Client } from "./methods.ts";
import { answered, nextCursor, pathOf } from "./requests.ts";
import type { Task, TaskPage, TaskQuery, TaskState } from "./types.ts";
import { toQuery } from "./watch.ts";

const PAGE = 500;

type Reads = Pick<
  Client,
  "get" | "page" | "statePage" | "list" | "count" | "log" | "explain" | "stats" | "ready"
>;

export function createReads(api: Api): Reads {
  const read = <T>(path: string, { signal }: Cancellable = {}): Promise<T> =>
    api.send<T>({ method: "GET", path, signal }).then(answered);

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

  return {
    ...{ get, page, list, count },
    statePage: (query) => pageAs<TaskState>("state", query),
    log: (id, { after = 0, signal } = {}) => read(`${pathOf(id)}/log?after=${after}`, { signal }),
    explain: (id, options) => read(`${pathOf(id)}/explain`, options),
    stats: (options) => read("/api/stats", options),
    ready: (options) => read("/readyz", options),
  };
}
