/** What the server knows of types and tags, to suggest them. */
import { takesType } from "../../../src/core/task.ts";
import { useStats } from "../../api/queries.ts";

type Known = {
  /** Of tasks and of workers, without prefixes. */
  readonly types: readonly string[];
  /** Whether a worker takes it; true while that is not known. */
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
