/** One deed on many tasks: on rows one by one, on whatever a filter takes in the server's pieces. */
import type { BulkPreview, BulkRequest } from "../../../src/client/client.ts";
import { TaskTrackError } from "../../../src/client/error.ts";
import type { Status } from "../../../src/core/task.ts";
import { client } from "../../api/client.ts";
import { bulkFilterOf, type TasksSearch } from "./search.ts";

export type Deed = BulkRequest["action"];
export const DEEDS = ["cancel", "retry", "delete"] as const satisfies readonly Deed[];

export type Outcome = {
  readonly count: number;
  /** Tasks whose status did not allow it, and deleted ones. */
  readonly refused: number;
  /** It was stopped or failed, so the other tasks are unchanged. */
  readonly isStopped: boolean;
  /** Why it went no further; null where nothing has failed. */
  readonly fault: unknown;
};

type Run = { readonly signal: AbortSignal; readonly onDone: (done: number) => void };

/** At once; more would only stand in line at the server. */
const AT_ONCE = 4;
const REFUSALS: ReadonlySet<string> = new Set(["wrong_status", "key_taken", "not_found"]);

const isLive = (status: Status): boolean => status === "pending" || status === "running";

/** What the server's rules will say, as far as the status tells. */
export const allows = (deed: Deed, status: Status): boolean =>
  deed === "delete" || isLive(status) === (deed === "cancel");

const ONE: Readonly<Record<Deed, (id: number) => Promise<unknown>>> = {
  cancel: (id) => client.cancel(id),
  retry: (id) => client.retry(id),
  delete: (id) => client.remove(id),
};

export async function actOnRows(
  deed: Deed,
  ids: readonly number[],
  { signal, onDone }: Run,
): Promise<Outcome> {
  const waiting = ids.values(); // one for all, so that each is taken once
  const faults: unknown[] = [];
  let [count, refused] = [0, 0];
  const work = async (): Promise<void> => {
    for (const id of waiting) {
      try {
        if (await isDone(ONE[deed](id))) count++;
        else refused++;
      } catch (error) {
        faults.push(error);
      }
      if (faults.length > 0) return; // what has begun is waited for, and nothing more is begun
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

const requestOf = (deed: Deed, search: TasksSearch): BulkRequest => {
  const filter = bulkFilterOf(search);
  return { action: deed, filter, ...(Object.keys(filter).length > 0 ? {} : { all: true }) };
};

/** The number of tasks, and their highest id: newer tasks were not counted. */
export const preview = (deed: Deed, search: TasksSearch, signal: AbortSignal): Promise<BulkPreview> =>
  client.bulkPreview(requestOf(deed, search), { signal });

export async function actOnFilter(
  deed: Deed,
  search: TasksSearch,
  upToId: number,
  { signal, onDone }: Run,
): Promise<Outcome> {
  let [count, refused] = [0, 0];
  let next: number | null = 0;
  while (next !== null && !signal.aborted) {
    const after = next === 0 ? {} : { after_id: next };
    try {
      const answer = await client.bulk({ ...requestOf(deed, search), up_to_id: upToId, ...after });
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
