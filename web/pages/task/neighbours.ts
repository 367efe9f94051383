/** The tasks beside this one in the list that the reader came from, as far as it was read. */
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

/** Keys that begin with "tasks" keep pages of tasks; whatever else may stand there one day is none. */
function idsOf(data: unknown): readonly number[] {
  if (typeof data !== "object" || data === null || !("pages" in data)) return [];
  return (data as InfiniteData<TaskPage>).pages.flatMap(({ tasks }) => tasks.map(({ id }) => id)); // the shape of useTasks
}
