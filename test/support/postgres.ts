/** Schemas, databases and roles of one test each, on the server that all tests share. */
import { SQL } from "bun";
import type { TaskStore } from "../../src/store/store.ts";
import { sharedPostgres } from "./servers/shared.ts";
import { openTestStore, uniqueName } from "./stores.ts";

/** Statements of the server's superuser, in the database that all tests share. */
export function openAdmin(url = sharedPostgres()): SQL {
  return new SQL(url, { max: 4, prepare: false });
}

/** Opens a store in a schema of its own and closes it behind the test. */
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

/** A database of its own; `options` are those of CREATE DATABASE. Dropped behind the test with whoever is connected. */
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

/** The address with another database, and another user where one is named. */
export const addressOf = (url: string, database: string, user?: string): string => {
  const address = Object.assign(new URL(url), { pathname: `/${database}` });
  return user === undefined ? address.href : Object.assign(address, { username: user }).href;
};
