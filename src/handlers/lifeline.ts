/**
 * What ends the work of a server that has died. A process that runs handlers holds the end of a pipe whose other end its server
 * holds; a thread reads it. Nothing is ever sent: when the reading ends the server is gone, and the thread kills the process
 * groups that handlers have opened and then its own process. A thread, because the process's own event loop may stand still
 * within a handler for ever.
 */
import { readSync } from "node:fs";

/** The pipe's number in the child. */
export const LIFELINE = 3;
/** Groups that are open at once; those beyond are ended by the process itself only. */
export const GROUPS_AT_MOST = 4_096;
/** A group may have been opened while the others were being killed. */
const AGAIN_AFTER_MS = 50;

/** The open groups, where the thread sees them too. */
export function createGroupTable(shared: SharedArrayBuffer) {
  const pids = new Int32Array(shared);
  return {
    open: (pid: number): void => {
      const free = pids.indexOf(0);
      if (free >= 0) Atomics.store(pids, free, pid);
    },
    closed: (pid: number): void => {
      const at = pids.indexOf(pid);
      if (at >= 0) Atomics.store(pids, at, 0);
    },
    all: (): number[] => [...pids].filter((pid) => pid !== 0),
  };
}

/** In the thread: returns when the server has gone. */
export function waitForTheEnd(): void {
  const nothing = new Uint8Array(1);
  let isOpen = true;
  while (isOpen) isOpen = readSync(LIFELINE, nothing) > 0;
}

/** In the thread: kills everything, itself last. */
export function endAll(shared: SharedArrayBuffer): void {
  const groups = createGroupTable(shared);
  for (const pid of groups.all()) killGroup(pid);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, AGAIN_AFTER_MS);
  for (const pid of groups.all()) killGroup(pid);
  killGroup(process.pid);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // gone already
  }
}
