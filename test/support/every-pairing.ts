import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sharedKafka, sharedPostgres, sharedRabbitmq, sharedRedis } from "./servers/shared.ts";
import { uniqueName } from "./stores.ts";

export type Pairing = readonly [
  name: string,
  env: { readonly STORE_URL: string; readonly QUEUE_URL?: string },
];

/** The names and settings of a new store of each kind, and of one with each broker, for tests with the same result on all of them. */
export function everyPairing(topic: string): readonly Pairing[] {
  const folder = mkdtempSync(join(tmpdir(), `tasktrack-${topic}-`));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  const name = uniqueName(topic);
  const postgres = (schema: string) => ({ STORE_URL: `${sharedPostgres()}?schema=${schema}&connections=3` });
  return [
    ["memory", { STORE_URL: "memory:" }],
    ["SQLite", { STORE_URL: `sqlite:${join(folder, "tasks.db")}` }],
    ["PostgreSQL", postgres(name)],
    ["Redis", { STORE_URL: `${sharedRedis()}?prefix=${name}` }],
    [
      "PostgreSQL and RabbitMQ",
      { ...postgres(`${name}_r`), QUEUE_URL: `${sharedRabbitmq()}?prefix=${name}` },
    ],
    ["PostgreSQL and Kafka", { ...postgres(`${name}_k`), QUEUE_URL: `${sharedKafka()}?prefix=${name}` }],
  ];
}
