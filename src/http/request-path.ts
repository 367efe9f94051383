import { TaskError } from "../core/error.ts";
import { MAX_TASK_ID, type TaskId } from "../core/task.ts";

/**
 * The path and the query of a request as it was sent. `URL` does not serve: it needs a Host, and it turns
 * `/a/../b` into `/b`.
 */
export type Target = { readonly path: string; readonly query: string };

export function targetOf(url: string): Target {
  const target = url.slice(startOfPath(url));
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  return { path: path || "/", query: mark === -1 ? "" : target.slice(mark + 1) };
}

/** The length of the path and the query in the URL. */
export const targetLength = (url: string): number => url.length - startOfPath(url);

function startOfPath(url: string): number {
  if (url.startsWith("/")) return 0;
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start === -1 ? url.length : start;
}

/**
 * The query of a URL as an object. A parameter that may be repeated is a list. A parameter that may not be
 * repeated and is becomes a list too, which its schema refuses.
 */
export function queryOf(request: Request, repeatable: readonly string[]): Record<string, string | string[]> {
  const searchParams = new URLSearchParams(targetOf(request.url).query);
  const query: Record<string, string | string[]> = Object.create(null);
  for (const name of new Set(searchParams.keys())) {
    const values = searchParams.getAll(name);
    query[name] = values.length === 1 && !repeatable.includes(name) ? String(values[0]) : values;
  }
  return query;
}

const ID = /^[1-9]\d{0,15}$/;

/** The id in a path. Throws `invalid` unless it is a positive integer that JSON represents exactly. */
export function parseId(text: string): TaskId {
  const id = ID.test(text) ? Number(text) : Number.NaN;
  if (id <= MAX_TASK_ID) return id;
  const detail = `must be a whole number from 1 to ${MAX_TASK_ID}`;
  throw new TaskError("invalid", `A task id ${detail}`, [{ pointer: "/id", detail }]);
}
