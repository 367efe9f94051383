/** The schema of all tables. SQL is written for the schema `tasktrack`; another one of the URL is put in its place. */
import { TaskError } from "../../core/error.ts";

export const DEFAULT_SCHEMA = "tasktrack";

/** `?schema=` of the URL. */
export function schemaOf(url: string): string {
  const schema = URL.parse(url)?.searchParams.get("schema") ?? DEFAULT_SCHEMA;
  if (!/^[a-z_][a-z0-9_]{0,40}$/.test(schema)) {
    throw new TaskError(
      "invalid",
      "STORE_URL: schema must be lower-case letters, digits and _, at most 41, and begin with no digit",
    );
  }
  return schema;
}

/** Quoted, because a name such as `user` is a keyword of SQL. */
export const inSchema = (schema: string, sql: string): string =>
  schema === DEFAULT_SCHEMA ? sql : sql.replace(/\btasktrack\./g, `"${schema}".`);
