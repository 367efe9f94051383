/** What happens to tasks, followed through broken connections and restarts of the server. */
import type { Clock } from "../core/clock.ts";
import type { Api } from "./api.ts";
import { isTransient } from "./error.ts";
import { type Block, readBlocks } from "./lines.ts";
import type { Status, TaskState } from "./types.ts";

export type WatchQuery = {
  /** Of these tasks alone. */
  readonly task?: number | readonly number[] | undefined;
  /** Of these types alone; a prefix may end in `*`. */
  readonly type?: string | readonly string[] | undefined;
  /** Tasks alone whose present status is one of these. */
  readonly status?: Status | readonly Status[] | undefined;
  /** Go on behind this `eventId`, and miss no task's latest state and no deletion. Without it: from now on. */
  readonly since?: string | undefined;
  /** Ends the iteration. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Is called with true when a connection stands: what changes from then on is told. With false when one was lost, or was
   * tried for in vain; it is tried again.
   */
  readonly onConnection?: ((isConnected: boolean) => void) | undefined;
};

/**
 * - `task`: its state as it is now; of several changes in a row only the last may be told.
 * - `deleted`: it is gone.
 * - `reset`: the place to go on from is too old, or of another store. Read the tasks anew; what follows goes on from here.
 *
 * `eventId` is opaque: keep the last one to go on with `since` later.
 */
export type WatchEvent =
  | { readonly kind: "task"; readonly eventId: string; readonly task: TaskState }
  | { readonly kind: "deleted"; readonly eventId: string; readonly id: number }
  | { readonly kind: "reset"; readonly eventId: string };

/** The server sends a sign of life every 15 seconds; who hears nothing for this long has lost it. */
const SILENT_MS = 40_000;

/** Goes on until the signal aborts or the caller has seen enough. Throws TaskTrackError where the query is refused. */
export async function* watchEvents(
  { api, clock }: { readonly api: Api; readonly clock: Clock },
  query: WatchQuery,
): AsyncGenerator<WatchEvent, void, void> {
  const { signal } = query;
  const path = `/api/events${queryText(query)}`;
  let eventId = query.since ?? "";

  for (let failures = 0; !isAborted(signal); failures++) {
    try {
      for await (const block of connect()) {
        failures = 0;
        eventId = block.id ?? eventId;
        const event = eventOf(block, eventId);
        if (event !== null) yield event;
      }
    } catch (error) {
      if (isAborted(signal)) return;
      if (!isTransient(error)) throw error; // also what `onConnection` has thrown
    }
    if (isAborted(signal)) return;
    query.onConnection?.(false);
    await api.pause(api.backoffMs(failures), signal).catch(() => undefined); // only for being aborted, which the loop sees
  }

  /** One connection, to its end. */
  async function* connect(): AsyncGenerator<Block, void, void> {
    const abort = new AbortController();
    const follow = (): void => abort.abort();
    signal?.addEventListener("abort", follow, { once: true });
    let cancelTimer = clock.after(SILENT_MS, follow);
    const heard = (): void => {
      cancelTimer();
      cancelTimer = clock.after(SILENT_MS, follow);
    };
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (eventId !== "") headers["last-event-id"] = eventId;
      const { body } = await api.open({ method: "GET", path, headers, signal: abort.signal });
      query.onConnection?.(true);
      if (body !== null) yield* blocksOf(body, { onBytes: heard, signal: abort.signal });
    } finally {
      cancelTimer();
      signal?.removeEventListener("abort", follow);
      follow();
    }
  }

  /** A stream that breaks off is one that may be opened again. */
  async function* blocksOf(...[body, reading]: Parameters<typeof readBlocks>): ReturnType<typeof readBlocks> {
    try {
      yield* readBlocks(body, reading);
    } catch (cause) {
      throw api.brokenOff(cause);
    }
  }
}

/** Asked anew each time: it changes while others have their turn. */
const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

function eventOf({ event, data }: Block, eventId: string): WatchEvent | null {
  if (data === null) return null;
  switch (event) {
    case "task":
      return { kind: "task", eventId, task: JSON.parse(data) as TaskState }; // the contract's shape
    case "deleted":
      return { kind: "deleted", eventId, id: (JSON.parse(data) as { readonly id: number }).id }; // the contract's shape
    case "reset":
      return { kind: "reset", eventId };
    default:
      return null; // of a later server
  }
}

const queryText = ({ task, type, status }: WatchQuery): string => toQuery({ task, type, status });

type QueryValue = string | number | readonly (string | number)[] | undefined;

/** `?a=1&b=2&b=3`, or nothing. */
export function toQuery(values: Readonly<Record<string, QueryValue>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of value === undefined ? [] : [value].flat()) query.append(name, String(one));
  }
  return query.size === 0 ? "" : `?${query}`;
}
