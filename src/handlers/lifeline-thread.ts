/** Starts the thread that ends this process, and all that the process has started, when its server has ended; see lifeline.ts. */
import { listenToGroups } from "./groups.ts";
import { createGroupTable, GROUPS_AT_MOST } from "./lifeline.ts";

/**
 * A single-file executable has its sources below its own root, where this file does not exist. There the name
 * of the thread is set at the build, by `npm run build`.
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
