/** Schemas, databases and roles for one test each, on the shared server. */
import { SQL } from "bun";
import type { TaskStore } from "../../src/store/store.ts";
import { sharedPostgres } from "./servers/shared.ts";
import { openTestStore, uniqueName } from "./stores.ts";

/** Runs statements as superuser in the shared database. */
export function openAdmin(url = sharedPostgres()): SQL {
  return new SQL(url, { max: 4, prepare: false });
}

/** Opens a store in a schema of its own and closes it after the test. */
export async function withSchema(
  body: (store: TaskStore, schema: string) => Promise<void>,
  more = "",
): Promise<void> {
  const schema = uniqueName("own");
  const store = await openTestStore(`${sharedPostgres()}?schema=${schema}${more}`);
  try {
    await body(store, schema);
  } finally {
    await store.close();
    await inAdmin((admin) => admin.unsafe(`DROP SCHEMA ${schema} CASCADE`));
  }
}

/** A database of its own; `options` are those of CREATE DATABASE. Dropped after the test, also with open connections. */
export async function withDatabase(body: (name: string) => Promise<void>, options = ""): Promise<void> {
  const name = uniqueName("db");
  await inAdmin((admin) => admin.unsafe(`CREATE DATABASE ${name} ${options}`));
  try {
    await body(name);
  } finally {
    await inAdmin((admin) => admin.unsafe(`DROP DATABASE ${name} WITH (FORCE)`));
  }
}

export async function inAdmin(body: (admin: SQL) => Promise<unknown>): Promise<void> {
  const admin = openAdmin();
  try {
    await body(admin);
  } finally {
    await admin.close();
  }
}

/** The URL with another database, and another user if one is given. */
export const addressOf = (url: string, database: string, user?: string): string => {
  const address = Object.assign(new URL(url), { pathname: `/${database}` });
  return user === undefined ? address.href : Object.assign(address, { username: user }).href;
};
