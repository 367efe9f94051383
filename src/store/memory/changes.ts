import { STATUSES, type Status, type Task, type TaskId } from "../../core/task.ts";
import type { Change, ChangeKind, ChangePage, Position } from "../store.ts";

/** A power of two above the 100,000 that readers may rely on. */
const CAPACITY = 131_072;

const KINDS: readonly ChangeKind[] = ["created", "changed", "progress", "deleted"];

export interface ChangeLog {
  append(task: Task, kind: ChangeKind): void;
  after(position: Position | null, limit: number): ChangePage;
}

/**
 * The change log as a ring buffer of typed arrays: always 1.8 MB, no garbage. The other stores also keep an hour; here an hour of
 * creates would be gigabytes, and a reader in the same process that is this far behind starts again from the present end.
 */
export function createChangeLog(epoch: string): ChangeLog {
  const ids = new Float64Array(CAPACITY);
  const versions = new Uint32Array(CAPACITY);
  const statuses = new Uint8Array(CAPACITY);
  const kinds = new Uint8Array(CAPACITY);
  let end = 0; // the latest rev

  function append(task: Task, kind: ChangeKind): void {
    const slot = ++end % CAPACITY;
    ids[slot] = task.id;
    versions[slot] = task.version;
    statuses[slot] = STATUSES.indexOf(task.status);
    kinds[slot] = KINDS.indexOf(kind);
  }

  function read(rev: number): Change {
    const slot = rev % CAPACITY;
    return {
      rev,
      id: ids[slot] as TaskId, // within [0, CAPACITY), as the next three
      version: versions[slot] as number,
      status: STATUSES[statuses[slot] as number] as Status,
      kind: KINDS[kinds[slot] as number] as ChangeKind,
    };
  }

  function after(position: Position | null, limit: number): ChangePage {
    if (position === null) return { kind: "changes", changes: [], position: { epoch, rev: end } };
    const oldest = Math.max(0, end - CAPACITY);
    if (position.epoch !== epoch || position.rev < oldest || position.rev > end) {
      return { kind: "gone", position: { epoch, rev: end }, oldest: { epoch, rev: oldest } };
    }
    const last = Math.min(end, position.rev + limit);
    const changes: Change[] = [];
    for (let rev = position.rev + 1; rev <= last; rev++) changes.push(read(rev));
    return { kind: "changes", changes, position: { epoch, rev: last } };
  }

  return { append, after };
}
