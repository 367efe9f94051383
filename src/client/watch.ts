/** Follows the changes of tasks, across broken connections and restarts of the server. */
import type { Clock } from "../core/clock.ts";
import { linkedAbort } from "../lib/waiting.ts";
import type { Api } from "./api.ts";
import { isTransient } from "./error.ts";
import { type Block, readBlocks } from "./lines.ts";
import type { Status, TaskState } from "./types.ts";

export type WatchQuery = {
  /** Only events of these tasks. */
  readonly task?: number | readonly number[] | undefined;
  /** Only events of these types; a prefix may end in `*`. */
  readonly type?: string | readonly string[] | undefined;
  /** Only events of tasks that have one of these statuses now. */
  readonly status?: Status | readonly Status[] | undefined;
  /**
   * Resume after this `eventId`, without missing the latest state or the deletion of a task. Without it, the
   * events begin now.
   */
  readonly since?: string | undefined;
  /** Ends the iteration. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Is called with true when a connection is established: changes from then on are reported. Is called with
   * false when the connection was lost or could not be established; it is tried again.
   */
  readonly onConnection?: ((isConnected: boolean) => void) | undefined;
};

/**
 * - `task`: the present state of a task. Of several changes in a row, only the last may be reported.
 * - `deleted`: the task was deleted.
 * - `reset`: the position to resume from is too old, or of another store. Read the tasks again; the following
 * events continue from here.
 *
 * `eventId` is opaque: keep the last one to resume with `since` later.
 */
export type WatchEvent =
  | { readonly kind: "task"; readonly eventId: string; readonly task: TaskState }
  | { readonly kind: "deleted"; readonly eventId: string; readonly id: number }
  | { readonly kind: "reset"; readonly eventId: string };

/** The server sends a comment every 15 seconds. A connection without any data for this long is lost. */
const SILENT_MS = 40_000;

/**
 * Ends when the signal aborts or the caller leaves the loop. Throws TaskTrackError if the query is refused.
 */
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
      if (!isTransient(error)) throw error; // also an error that `onConnection` has thrown
    }
    if (isAborted(signal)) return;
    query.onConnection?.(false);
    // Rejects only if the signal aborts, which the loop checks.
    await api.pause(api.backoffMs(failures), signal).catch(() => undefined);
  }

  /** One connection, to its end. */
  async function* connect(): AsyncGenerator<Block, void, void> {
    const connection = linkedAbort(...(signal === undefined ? [] : [signal]));
    const end = (): void => connection.abort();
    let cancelTimer = clock.after(SILENT_MS, end);
    const onBytes = (): void => {
      cancelTimer();
      cancelTimer = clock.after(SILENT_MS, end);
    };
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (eventId !== "") headers["last-event-id"] = eventId;
      const { body } = await api.open({ method: "GET", path, headers, signal: connection.signal });
      query.onConnection?.(true);
      if (body !== null) yield* blocksOf(body, { onBytes, signal: connection.signal });
    } finally {
      cancelTimer();
      connection.unlink();
      end();
    }
  }

  /** A broken stream is a transient error: the connection is opened again. */
  async function* blocksOf(...[body, reading]: Parameters<typeof readBlocks>): ReturnType<typeof readBlocks> {
    try {
      yield* readBlocks(body, reading);
    } catch (cause) {
      throw api.brokenOff(cause);
    }
  }
}

/** A function, because the compiler would assume that the value never changes after the first check. */
const isAborted = (signal: AbortSignal | undefined): boolean => signal?.aborted === true;

function eventOf({ event, data }: Block, eventId: string): WatchEvent | null {
  if (data === null) return null;
  switch (event) {
    case "task":
      return { kind: "task", eventId, task: JSON.parse(data) as TaskState }; // the type that the API documents
    case "deleted":
      return { kind: "deleted", eventId, id: (JSON.parse(data) as { readonly id: number }).id }; // the type that the API documents
    case "reset":
      return { kind: "reset", eventId };
    default:
      return null; // an event that a later server may send
  }
}

const queryText = ({ task, type, status }: WatchQuery): string => toQuery({ task, type, status });

type QueryValue = string | number | readonly (string | number)[] | undefined;

/** `?a=1&b=2&b=3`, or an empty text. */
export function toQuery(values: Readonly<Record<string, QueryValue>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    for (const one of value === undefined ? [] : [value].flat()) query.append(name, String(one));
  }
  return query.size === 0 ? "" : `?${query}`;
}
