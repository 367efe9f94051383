import { TaskError } from "../core/error.ts";
import { MAX_TASK_ID, type TaskId } from "../core/task.ts";

/** What a request asks for, as it was sent. Not by `URL`: without a Host there is none, and it tidies `/a/../b` into `/b`. */
export type Target = { readonly path: string; readonly query: string };

export function targetOf(url: string): Target {
  const target = url.slice(startOfPath(url));
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  return { path: path || "/", query: mark === -1 ? "" : target.slice(mark + 1) };
}

/** How much of the URL is the client's path and query. */
export const targetLength = (url: string): number => url.length - startOfPath(url);

function startOfPath(url: string): number {
  if (url.startsWith("/")) return 0;
  const start = url.indexOf("/", url.indexOf("://") + 3);
  return start === -1 ? url.length : start;
}

/**
 * The query of a URL as an object: a parameter that may be repeated is a list, one that may not but is stays a list too, and
 * is refused by its schema.
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

/** The id in a path; throws `invalid` for anything but a positive integer that JSON carries exactly. */
export function parseId(text: string): TaskId {
  const id = ID.test(text) ? Number(text) : Number.NaN;
  if (id <= MAX_TASK_ID) return id;
  const detail = `must be a whole number from 1 to ${MAX_TASK_ID}`;
  throw new TaskError("invalid", `A task id ${detail}`, [{ pointer: "/id", detail }]);
}
