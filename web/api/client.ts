/** The SDK client for the server of this page. */
import { type Cancellable, type Client, createClient, type TaskQuery } from "../../src/client/client.ts";
import { watchedFetch } from "./connection.ts";
import { parseAnswer, type WrittenTask } from "./written.ts";

/** Few retries, so that errors appear soon; the queries retry as well. */
const RETRIES = 1;

export const client: Client = createClient(location.origin, {
  fetch: watchedFetch,
  retries: RETRIES,
  parse: parseAnswer,
});

export const readTask = (id: number, options: Cancellable): Promise<WrittenTask> =>
  client.get(id, options) as Promise<WrittenTask>; // `parseAnswer` returns them

export async function readTasks(query: TaskQuery & Cancellable): Promise<readonly WrittenTask[]> {
  const { tasks } = await client.page(query);
  return tasks as readonly WrittenTask[]; // `parseAnswer` returns them
}
