import type { Migration } from "../migrations.ts";
import tasks from "./migrations/0001-tasks.sql" with { type: "text" };

/** The steps of the schema; one that has been released is never changed. */
export const MIGRATIONS: readonly Migration[] = [{ number: 1, name: "tasks", text: tasks }];
