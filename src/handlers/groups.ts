/**
 * The process groups that handlers have opened in this process. They are kept in one place, because each
 * group is a session of its own: a signal to this process does not reach them.
 */
import { readdirSync, readFileSync } from "node:fs";

export type GroupListener = {
  /** Called for the open groups first. */
  readonly opened: (pid: number) => void;
  readonly closed: (pid: number) => void;
};

const open = new Set<number>();
const listeners = new Set<GroupListener>();
let killsAtExit = false;

/** Adds the group of this leader. The result removes it, and may be called twice. */
export function openGroup(pid: number): () => void {
  if (!killsAtExit) process.on("exit", killAllGroups);
  killsAtExit = true;
  open.add(pid);
  for (const { opened } of listeners) opened(pid);
  return () => {
    if (!open.delete(pid)) return;
    for (const { closed } of listeners) closed(pid);
  };
}

/** Calls the listener when groups open and close. The result removes the listener. */
export function listenToGroups(listener: GroupListener): () => void {
  listeners.add(listener);
  for (const pid of open) listener.opened(pid);
  return () => void listeners.delete(listener);
}

/** Kills all open groups. Runs by itself when the process exits, but not when the process is killed. */
export function killAllGroups(): void {
  for (const pid of open) signalGroup(pid, "SIGKILL");
}

/** Sends a signal to a group. True while the group has a process, even if it has ended and its parent has not waited for it. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    // Any error but "no such process" (such as another user's process, under sudo) means that the group exists.
    return (error as NodeJS.ErrnoException).code !== "ESRCH"; // what process.kill throws
  }
}

/** Whether no process of the group runs. */
export const isGroupGone = (pid: number): boolean => !signalGroup(pid, 0) || isGroupDead(pid);

/**
 * Whether all processes of a group have ended and no parent has waited for them. In a container whose first
 * process does not wait for orphans, they stay in the process table, and `kill` still finds them.
 */
function isGroupDead(pid: number): boolean {
  const states = statesIn(pid);
  return states.length > 0 && states.every((state) => state === "Z" || state === "X");
}

function statesIn(group: number): string[] {
  return processIds().flatMap((pid) => {
    const [state = "", , pgrp] = statOf(pid);
    return Number(pgrp) === group ? [state] : [];
  });
}

/** Empty on systems without /proc. Their first process waits for orphans. */
function processIds(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/**
 * The fields of /proc/PID/stat behind the name of the process (a name may have any characters): state,
 * parent, group. Empty if the process has ended.
 */
function statOf(pid: string): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}
