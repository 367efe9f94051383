/** The SDK's client of the server that this page came from. */
import { type Cancellable, type Client, createClient, type TaskQuery } from "../../src/client/client.ts";
import { watchedFetch } from "./connection.ts";
import { parseAnswer, type WrittenTask } from "./written.ts";

/** Errors are shown soon, because a person waits; the queries try again by themselves. */
const RETRIES = 1;

export const client: Client = createClient(location.origin, {
  fetch: watchedFetch,
  retries: RETRIES,
  parse: parseAnswer,
});

export const readTask = (id: number, options: Cancellable): Promise<WrittenTask> =>
  client.get(id, options) as Promise<WrittenTask>; // by `parseAnswer`

export async function readTasks(query: TaskQuery & Cancellable): Promise<readonly WrittenTask[]> {
  const { tasks } = await client.page(query);
  return tasks as readonly WrittenTask[]; // by `parseAnswer`
}
