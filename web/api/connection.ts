/** Whether the server answers, as the latest request told; the banner shows it. */
import { useSyncExternalStore } from "react";
import { type Cell, createCell } from "../app/cell.ts";

export type Connection = "up" | "away";

export const connection: Cell<Connection> = createCell<Connection>("up");

/** The answers of a gateway without a server behind it. */
const NOBODY_BEHIND: ReadonlySet<number> = new Set([502, 504]);

/** `fetch`, watched. An abort says nothing about the server. */
export async function watchedFetch(url: string, init: RequestInit): Promise<Response> {
  try {
    const response = await fetch(url, init);
    connection.set(NOBODY_BEHIND.has(response.status) ? "away" : "up");
    return response;
  } catch (error) {
    if (init.signal?.aborted !== true) connection.set("away");
    throw error;
  }
}

export const useConnection = (): Connection => useSyncExternalStore(connection.subscribe, connection.get);
