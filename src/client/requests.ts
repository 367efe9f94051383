/** Parts of requests and answers that several methods of the client use. */
import { systemChance } from "../lib/system-chance.ts";
import type { ApiAnswer } from "./api.ts";
import type { TaskFilter } from "./types.ts";

export const pathOf = (id: number): string => `/api/task/${id}`;

/** A runtime may repeat a request by itself. Because of the key, the server carries it out once. */
export const stepHeaders = (version: number | undefined): Record<string, string> => ({
  "idempotency-key": systemChance.nonce(),
  ...(version === undefined ? {} : { "if-match": `"v${version}"` }),
});

/** Only a request that names `doneWhen` is answered with null. */
export function answered<T>(answer: ApiAnswer<T> | null): T {
  if (answer === null) throw new Error("the answer was lost");
  return answer.body;
}

export const isCode = (error: unknown, code: string): boolean =>
  error instanceof Error && "code" in error && error.code === code;

/** The cursor in `<…?cursor=…>; rel="next"`, or null. */
export function nextCursor(link: string): string | null {
  const [, target] = /<([^>]*)>\s*;\s*rel="?next"?/.exec(link) ?? [];
  return target === undefined ? null : new URL(target, "http://localhost").searchParams.get("cursor");
}

export const asLists = (filter: TaskFilter) => ({
  ...filter,
  ...(filter.status === undefined ? {} : { status: [filter.status].flat() }),
  ...(filter.type === undefined ? {} : { type: [filter.type].flat() }),
  ...(filter.tag === undefined ? {} : { tag: [filter.tag].flat() }),
  ...(filter.label === undefined ? {} : { label: [filter.label].flat() }),
});
