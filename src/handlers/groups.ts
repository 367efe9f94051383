/**
 * The process groups that handlers have opened in this process: whoever ends it, or looks after it, can end them too. They are
 * kept in one place because a signal to the process does not reach them: each is a session of its own.
 */
import { readdirSync, readFileSync } from "node:fs";

export type GroupListener = {
  /** Told for those that are open already, too. */
  readonly opened: (pid: number) => void;
  readonly closed: (pid: number) => void;
};

const open = new Set<number>();
const listeners = new Set<GroupListener>();
let killsAtExit = false;

/** Notes the group of this leader; the answer takes it off again, and is safe twice. */
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

/** Tells which groups open and close; the answer ends it. */
export function listenToGroups(listener: GroupListener): () => void {
  listeners.add(listener);
  for (const pid of open) listener.opened(pid);
  return () => void listeners.delete(listener);
}

/** Ends all that is open, at once and without asking. It runs by itself when the process exits, but not when it is killed. */
export function killAllGroups(): void {
  for (const pid of open) signalGroup(pid, "SIGKILL");
}

/** True while the group has a process, if only one that has ended and that nobody has taken notice of. */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal);
    return true;
  } catch (error) {
    // Anything but "no such process" (somebody else's process, under sudo) means that the group is there.
    return (error as NodeJS.ErrnoException).code !== "ESRCH"; // what process.kill throws
  }
}

/** Whether nothing of the group runs any more. */
export const isGroupGone = (pid: number): boolean => !signalGroup(pid, 0) || isGroupDead(pid);

/**
 * Whether all of a group has ended, though nobody has taken notice: in a container whose first process does not care for orphans
 * they stay in the table for ever, and `kill` finds them.
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

/** Empty where there is no /proc: such systems have a first process that cares. */
function processIds(): string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

/** What /proc says of a process behind its name (which may hold anything): state, parent, group; empty when it has gone. */
function statOf(pid: string): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}
