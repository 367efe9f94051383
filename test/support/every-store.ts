import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sharedPostgres, sharedRedis } from "./servers/shared.ts";
import { uniqueName } from "./stores.ts";

/** One fresh store of each kind, by name and STORE_URL: for scenarios that every store must play alike. */
export function everyStore(topic: string): readonly (readonly [name: string, url: string])[] {
  const folder = mkdtempSync(join(tmpdir(), `tasktrack-${topic}-`));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const name = uniqueName(topic);
  return [
    ["memory", "memory:"],
    ["SQLite", `sqlite:${join(folder, "tasks.db")}`],
    ["PostgreSQL", `${sharedPostgres()}?schema=${name}&connections=3`],
    ["Redis", `${sharedRedis()}?prefix=${name}`],
  ];
}
