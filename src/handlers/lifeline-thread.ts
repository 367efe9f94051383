/** Starts the thread that ends this process and what it has started when its server has gone; see lifeline.ts. */
import { listenToGroups } from "./groups.ts";
import { createGroupTable, GROUPS_AT_MOST } from "./lifeline.ts";

/**
 * In a single-file executable the source's folders stand below the executable's root, where this file is not: it must be named
 * when it is built, as `npm run build` does.
 */
function entryUrl(): string {
  const isCompiled = /\/\$bunfs\/|~BUN/.test(import.meta.url);
  return new URL(isCompiled ? "./handlers/lifeline-entry.ts" : "./lifeline-entry.ts", import.meta.url).href;
}

export function holdLifeline(): void {
  const shared = new SharedArrayBuffer(4 * GROUPS_AT_MOST);
  const groups = createGroupTable(shared);
  listenToGroups({ opened: groups.open, closed: groups.closed });
  const thread = new Worker(entryUrl());
  thread.postMessage(shared);
}
