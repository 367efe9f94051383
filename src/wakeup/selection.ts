/**
 * Which processes look for the tasks of a commit of another process. All processes on the store get the notification; each decides for itself,
 * from what it knows of the others, so that about as many look as there is work for.
 */
import { takesType } from "../core/task.ts";
import type { CommitNotice } from "../store/store.ts";

export type WaitingProcess = {
  readonly name: string;
  readonly types: readonly string[];
  /** How many tasks it asked for some seconds ago. */
  readonly free: number;
};

/** The name of this process, and the processes on the store. This one may not be among them yet. */
export type Peers = { readonly own: string; readonly processes: readonly WaitingProcess[] };

/**
 * As many processes as were chosen look a little later, and twice as many after that: those that were chosen may be busy, suspended or dead. A
 * task that none of them claims is found by the poll.
 */
const SECOND_LOOK_MS = 3;
const THIRD_LOOK_MS = 15;

/** In how many milliseconds a process with waiting claims of these types looks for the tasks; null if it leaves them to others. */
export function lookAfterMs(
  types: readonly string[],
  due: readonly string[] | null,
  notice: CommitNotice | undefined,
  peers: Peers,
): number | null {
  if (due === null) return 0;
  let earliest: number | null = null;
  for (const [at, type] of due.entries()) {
    if (!types.some((pattern) => takesType(pattern, type))) continue;
    const afterMs = notice === undefined ? 0 : lookForType(type, notice.counts[at] ?? 1, notice.seed, peers);
    if (afterMs !== null) earliest = Math.min(earliest ?? afterMs, afterMs);
  }
  return earliest;
}

/** The order of the processes is another one for each commit, and the same in all processes that know the same processes. */
function lookForType(
  type: string,
  count: number,
  seed: string | null,
  { own, processes }: Peers,
): number | null {
  const candidates = processes.filter(({ types }) => types.some((pattern) => takesType(pattern, type)));
  // The commit is one of this process; or the other processes do not know that this one waits for the type, and may not leave the task to it.
  if (seed === null || !candidates.some(({ name }) => name === own)) return 0;
  const order = candidates
    .map(({ name, free }) => ({ name, free, place: free > 0 ? hashOf(`${name} ${seed}`) : 2 }))
    .sort((a, b) => a.place - b.place || (a.name < b.name ? -1 : 1));
  const place = order.findIndex(({ name }) => name === own);
  let chosen = 0;
  for (let room = 0; chosen < order.length && room < count; chosen++) {
    room += Math.max(1, Math.ceil((order[chosen]?.free ?? 0) / 2)); // some of its slots have been taken meanwhile
  }
  if (place < chosen) return 0;
  if (place < 2 * chosen) return SECOND_LOOK_MS;
  return place < 4 * chosen ? THIRD_LOOK_MS : null;
}

/** From [0, 1): FNV-1a with the last steps of MurmurHash3, without which names that differ in one character have near places. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32;
}
