/** Follows tasks to their ends, across broken connections and restarts of the server. */
import { type Client, TaskTrackError } from "../../client/client.ts";
import type { TaskState } from "../../client/types.ts";
import { linkedAbort } from "../../lib/waiting.ts";
import { OK, TASK_CANCELLED, TASK_FAILED } from "../exit-codes.ts";

export type Follower = {
  /** Called with the state of each task at the first read, and at each change. */
  readonly onTask: (task: TaskState) => void;
  /** The task was deleted, or its store was replaced. */
  readonly onDeleted: (id: number) => void;
  /** Called when the server stops answering, and when it answers again. The connection is retried without further calls. */
  readonly onConnection: (isConnected: boolean) => void;
};

/** More ids than this would not fit into a URL. Then all events are read, and those of other tasks are ignored. */
const MOST_IN_QUERY = 200;

/**
 * Resolves when all tasks have ended or are deleted, or when the signal aborts.
 * @param known ids of tasks that exist for certain: if the first read does not find one, it was deleted
 * meanwhile. A missing id that is not known is an error, and rejects.
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

  async function readAll(): Promise<void> {
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

  /** A read beside the stream. If the server does not answer, the next connection of the stream reads again. */
  function readAside(): void {
    readAll().catch((error: unknown) => {
      if (error instanceof TaskTrackError && error.status === 0) return;
      fault = error;
      over.abort();
    });
  }

  try {
    await readAll();
    if (open.size === 0 || over.signal.aborted) return;
    const events = client.watch({
      ...(open.size > MOST_IN_QUERY ? {} : { task: [...open] }),
      signal: over.signal,
      onConnection: (isConnected) => {
        follower.onConnection(isConnected);
        if (isConnected) readAside(); // for changes since the last read
      },
    });
    for await (const event of events) {
      if (event.kind === "task") see(event.task);
      else if (event.kind === "deleted") lose(event.id);
      else readAside();
    }
    if (fault !== null) throw fault;
  } finally {
    over.unlink();
    over.abort();
  }
}

const isGone = (error: unknown): boolean => error instanceof TaskTrackError && error.code === "not_found";

/** The exit code for the end of a task. */
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
