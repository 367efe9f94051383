/** The previous and the next task in the latest loaded list. */
import { type InfiniteData, useQueryClient } from "@tanstack/react-query";
import type { TaskPage } from "../../../src/client/client.ts";
import { queryKeys } from "../../api/queries.ts";

type Neighbours = { readonly previous: () => number | null; readonly next: () => number | null };

export function useNeighbours(id: number): Neighbours {
  const queries = useQueryClient();
  const beside = (step: -1 | 1): number | null => {
    const lists = queries.getQueryCache().findAll({ queryKey: queryKeys.allTasks });
    const latestFirst = lists.toSorted((a, b) => b.state.dataUpdatedAt - a.state.dataUpdatedAt);
    for (const { state } of latestFirst) {
      const ids = idsOf(state.data);
      const index = ids.indexOf(id);
      if (index >= 0) return ids[index + step] ?? null;
    }
    return null;
  };
  return { previous: () => beside(-1), next: () => beside(1) };
}

/** Query keys that start with "tasks" hold pages of tasks. Any other data is ignored. */
function idsOf(data: unknown): readonly number[] {
  if (typeof data !== "object" || data === null || !("pages" in data)) return [];
  return (data as InfiniteData<TaskPage>).pages.flatMap(({ tasks }) => tasks.map(({ id }) => id)); // the data of useTasks
}
