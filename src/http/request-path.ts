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
