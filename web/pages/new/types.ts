/** The server's known types and tags, for suggestions. */
import { takesType } from "../../../src/core/task.ts";
import { useStats } from "../../api/queries.ts";

type Known = {
  /** The types of tasks and workers, without prefix patterns. */
  readonly types: readonly string[];
  /** Whether an active worker takes the type; true until the server has answered. */
  readonly isTaken: (type: string) => boolean;
  readonly tags: readonly string[];
};

export function useTypes(): Known {
  const { data } = useStats();
  const patterns = data?.workers.flatMap(({ types }) => types) ?? [];
  const types = new Set([
    "simulate",
    ...patterns.filter((pattern) => !pattern.endsWith("*")),
    ...(data?.types ?? []).map(({ type }) => type),
  ]);
  return {
    types: [...types].toSorted(),
    isTaken: (type) => data === undefined || patterns.some((pattern) => takesType(pattern, type)),
    tags: data?.tags.map(({ tag }) => tag) ?? [],
  };
}
