/** Whether the server answered the latest request. A banner shows when it did not. */
import { useSyncExternalStore } from "react";
import { type Cell, createCell } from "../app/cell.ts";

export type Connection = "up" | "away";

export const connection: Cell<Connection> = createCell<Connection>("up");

/** A gateway answers with these statuses when it cannot reach the server. */
const UPSTREAM_UNREACHABLE: ReadonlySet<number> = new Set([502, 504]);

/** `fetch` that also updates `connection`. An aborted request gives no information about the server. */
export async function watchedFetch(url: string, init: RequestInit): Promise<Response> {
  try {
    const response = await fetch(url, init);
    connection.set(UPSTREAM_UNREACHABLE.has(response.status) ? "away" : "up");
    return response;
  } catch (error) {
    if (init.signal?.aborted !== true) connection.set("away");
    throw error;
  }
}

export const useConnection = (): Connection => useSyncExternalStore(connection.subscribe, connection.get);
