/** Follows tasks to their ends, through broken connections and restarts of the server. */
import { type Client, TaskTrackError } from "../../client/client.ts";
import type { TaskState } from "../../client/types.ts";
import { linkedAbort } from "../../lib/waiting.ts";
import { OK, TASK_CANCELLED, TASK_FAILED } from "../exit-codes.ts";

export type Follower = {
  /** A task as it is now; called with the first look at each, and with each change. */
  readonly onTask: (task: TaskState) => void;
  /** It was deleted, or went with its store. */
  readonly onDeleted: (id: number) => void;
  /** Whether the server answers; it is asked again by itself. */
  readonly onConnection: (isConnected: boolean) => void;
};

/** More than this would not fit into an address: then all events come, and others' are passed over. */
const MOST_IN_QUERY = 200;

/**
 * Resolves when all have ended or are gone, or when the signal aborts.
 * @param known ids that are there for certain: a first look that does not find one means that it was deleted meanwhile; of
 *   any other it is a refusal, and rejects
 */
export async function followToEnd(
  client: Client,
  ids: readonly number[],
  {
    follower,
    signal,
    known = [],
  }: { readonly follower: Follower; readonly signal: AbortSignal; readonly known?: readonly number[] },
): Promise<void> {
  const open = new Set(ids);
  const seen = new Map<number, number>(known.map((id) => [id, 0]));
  const over = linkedAbort(signal);
  let fault: unknown = null;

  function close(id: number): void {
    open.delete(id);
    if (open.size === 0) over.abort();
  }

  function see(task: TaskState): void {
    if (!open.has(task.id) || task.version < (seen.get(task.id) ?? 0)) return;
    seen.set(task.id, task.version);
    follower.onTask(task);
    if (task.finished_at !== null) close(task.id);
  }

  function lose(id: number): void {
    if (!open.has(id)) return;
    follower.onDeleted(id);
    close(id);
  }

  async function look(): Promise<void> {
    for (const id of [...open]) {
      try {
        see(await client.get(id, { signal: over.signal }));
      } catch (error) {
        if (over.signal.aborted) return;
        if (!isGone(error) || !seen.has(id)) throw error;
        lose(id);
      }
    }
  }

  /** What is looked at beside the stream; where nobody answers, the stream's next connection looks again. */
  function lookAside(): void {
    look().catch((error: unknown) => {
      if (error instanceof TaskTrackError && error.status === 0) return;
      fault = error;
      over.abort();
    });
  }

  try {
    await look();
    if (open.size === 0 || over.signal.aborted) return;
    const events = client.watch({
      ...(open.size > MOST_IN_QUERY ? {} : { task: [...open] }),
      signal: over.signal,
      onConnection: (isConnected) => {
        follower.onConnection(isConnected);
        if (isConnected) lookAside(); // for what happened since the look before
      },
    });
    for await (const event of events) {
      if (event.kind === "task") see(event.task);
      else if (event.kind === "deleted") lose(event.id);
      else lookAside();
    }
    if (fault !== null) throw fault;
  } finally {
    over.unlink();
    over.abort();
  }
}

const isGone = (error: unknown): boolean => error instanceof TaskTrackError && error.code === "not_found";

/** What the exit code says of a task's end. */
export function exitCodeOf({ status }: TaskState): number {
  switch (status) {
    case "failed":
      return TASK_FAILED;
    case "cancelled":
      return TASK_CANCELLED;
    case "done":
    case "pending":
    case "running":
      return OK;
    default:
      return status satisfies never;
  }
}
