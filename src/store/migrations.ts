import { TaskError } from "../core/error.ts";

/** A step of a store's schema. They are numbered from 1 without gaps; one that has been released is never changed. */
export type Migration = {
  readonly number: number;
  /** A description for the log, such as "tasks, changes, log lines". */
  readonly name: string;
  /** The SQL, or its equivalent in another store. */
  readonly text: string;
};

/** The number of a store's schema, and the migrations that bring it up to date. */
export type MigrationPlan = {
  /** The number of the latest migration that the store has; 0 for an empty one. */
  readonly current: number;
  /** In order; empty if the store is up to date. */
  readonly pending: readonly Migration[];
};

/** The migrations that a store lacks. Throws a message for the operator if the store is newer than this program. */
export function planMigrations(current: number, known: readonly Migration[]): MigrationPlan {
  const newest = known.at(-1)?.number ?? 0;
  if (current > newest) {
    throw new TaskError(
      "invalid",
      `STORE_URL: the store's schema has number ${current}, this program knows numbers up to ${newest}; use a newer TaskTrack`,
    );
  }
  return { current, pending: known.filter(({ number }) => number > current) };
}
