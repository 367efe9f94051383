import type { Migration } from "../migrations.ts";
import tasks from "./migrations/0001-tasks.sql" with { type: "text" };
import labels from "./migrations/0002-labels.sql" with { type: "text" };

/** The migrations of the schema; a released one is never changed. */
export const MIGRATIONS: readonly Migration[] = [
  { number: 1, name: "tasks", text: tasks },
  { number: 2, name: "labels", text: labels },
];
