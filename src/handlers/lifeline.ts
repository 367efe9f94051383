/**
 * Ends the work of a server that has ended. A process that runs handlers has one end of a pipe, and its server has
 * the other end. Nothing is ever written to the pipe; a thread reads it. When the read ends, the server has
 * ended: the thread kills the process groups that handlers have opened, and then its own process. It is a
 * thread, because a handler may block the event loop of the process without end.
 */
import { readSync } from "node:fs";

/** The file descriptor of the pipe in the child. */
export const LIFELINE = 3;
/** The number of open groups that the thread can see. The process ends further groups itself. */
export const GROUPS_AT_MOST = 4_096;
/** A group may have been opened while the others were killed. */
const AGAIN_AFTER_MS = 50;

/** The open groups, in memory that the thread shares. */
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

/** In the thread: returns when the server has ended. */
export function waitForTheEnd(): void {
  const nothing = new Uint8Array(1);
  let isOpen = true;
  while (isOpen) isOpen = readSync(LIFELINE, nothing) > 0;
}

/** In the thread: kills all groups, and then this process. */
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
    // the group has ended already
  }
}
