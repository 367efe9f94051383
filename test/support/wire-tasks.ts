import type { Task } from "../../src/client/types.ts";
import { NOON } from "./tasks.ts";

const at = (ms: number): string => new Date(NOON + ms).toISOString();

/** A task as the API represents it; by default created a minute before noon, and pending. */
export const wireTask = (fields: Partial<Task> = {}): Task => ({
  id: 7,
  name: "name",
  description: "",
  status: "pending",
  created_at: at(-60_000),
  duration: "0s",
  type: "work",
  priority: 0,
  tags: [],
  labels: {},
  key: null,
  run_at: at(-60_000),
  timeout: null,
  attempt: 0,
  max_attempts: 3,
  progress: null,
  error: null,
  attempts: [],
  cancel_requested: false,
  started_at: null,
  finished_at: null,
  updated_at: at(-60_000),
  version: 1,
  payload: null,
  result: null,
  ...fields,
});

/** A task in its first attempt, which began ten seconds before noon. */
export const wireRunning = (fields: Partial<Task> = {}): Task =>
  wireTask({ status: "running", attempt: 1, duration: "10s", started_at: at(-10_000), ...fields });

/** A task that ended five seconds before noon, after five seconds of work. */
export const wireEnded = (status: "done" | "failed" | "cancelled", fields: Partial<Task> = {}): Task =>
  wireTask({
    ...{ status, attempt: 1, duration: "5s", started_at: at(-10_000), finished_at: at(-5_000) },
    ...fields,
  });
