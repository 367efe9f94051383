/** Bulk actions: on selected rows one request per task, on a filter one request per page of the server. */
import type { BulkPreview, BulkRequest } from "../../../src/client/client.ts";
import { TaskTrackError } from "../../../src/client/error.ts";
import type { Status } from "../../../src/core/task.ts";
import { client } from "../../api/client.ts";
import { bulkFilterOf, type TasksSearch } from "./search.ts";

export type Action = BulkRequest["action"];
export const ACTIONS = ["cancel", "retry", "delete"] as const satisfies readonly Action[];

export type Outcome = {
  readonly count: number;
  /** Tasks whose status did not allow the action, and deleted tasks. */
  readonly refused: number;
  /** The user stopped it or it failed, so the remaining tasks are unchanged. */
  readonly isStopped: boolean;
  /** The error that ended it; null if none. */
  readonly fault: unknown;
};

type Run = { readonly signal: AbortSignal; readonly onDone: (done: number) => void };

/** Concurrent requests; more would only queue at the server. */
const AT_ONCE = 4;
const REFUSALS: ReadonlySet<string> = new Set(["wrong_status", "key_taken", "not_found"]);

const isLive = (status: Status): boolean => status === "pending" || status === "running";

/** Whether the server's rules allow the action for a status. */
export const allows = (action: Action, status: Status): boolean =>
  action === "delete" || isLive(status) === (action === "cancel");

const ONE: Readonly<Record<Action, (id: number) => Promise<unknown>>> = {
  cancel: (id) => client.cancel(id),
  retry: (id) => client.retry(id),
  delete: (id) => client.remove(id),
};

export async function actOnRows(
  action: Action,
  ids: readonly number[],
  { signal, onDone }: Run,
): Promise<Outcome> {
  const waiting = ids.values(); // one shared iterator, so that each id is used once
  const faults: unknown[] = [];
  let [count, refused] = [0, 0];
  const work = async (): Promise<void> => {
    for (const id of waiting) {
      try {
        if (await isDone(ONE[action](id))) count++;
        else refused++;
      } catch (error) {
        faults.push(error);
      }
      if (faults.length > 0) return; // requests under way finish, and no new one starts
      onDone(count + refused);
      if (signal.aborted) return;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { count, refused, isStopped: count + refused < ids.length, fault: faults[0] ?? null };
}

async function isDone(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (error instanceof TaskTrackError && REFUSALS.has(error.code)) return false;
    throw error;
  }
}

const requestOf = (action: Action, search: TasksSearch): BulkRequest => {
  const filter = bulkFilterOf(search);
  return { action: action, filter, ...(Object.keys(filter).length > 0 ? {} : { all: true }) };
};

/** The number of affected tasks, and the highest counted id: newer tasks must not be affected. */
export const preview = (action: Action, search: TasksSearch, signal: AbortSignal): Promise<BulkPreview> =>
  client.bulkPreview(requestOf(action, search), { signal });

export async function actOnFilter(
  action: Action,
  search: TasksSearch,
  upToId: number,
  { signal, onDone }: Run,
): Promise<Outcome> {
  let [count, refused] = [0, 0];
  let next: number | null = 0;
  while (next !== null && !signal.aborted) {
    const after = next === 0 ? {} : { after_id: next };
    try {
      const answer = await client.bulk({ ...requestOf(action, search), up_to_id: upToId, ...after });
      count += answer.count;
      refused += answer.refused;
      next = answer.next;
    } catch (fault) {
      return { count, refused, isStopped: true, fault };
    }
    onDone(count + refused);
  }
  return { count, refused, isStopped: next !== null, fault: null };
}
