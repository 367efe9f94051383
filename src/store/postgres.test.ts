import { SQL } from "bun";
import { sharedPgbouncer, sharedPostgres } from "../../test/support/servers/shared.ts";
import { openTestStore } from "../../test/support/stores.ts";
import { examineStore } from "./store.suite.ts";

const TABLES = ["tasks", "log_lines", "changes", "idempotency"];

/** A schema is made once; each case finds it empty, as if it had just been made. */
async function examine(name: string, url: () => string, schema: string): Promise<void> {
  const open = () => openTestStore(`${url()}?schema=${schema}&connections=3`);
  const admin = new SQL(url(), { max: 1, prepare: false });
  const prefixed = TABLES.map((table) => `${schema}.${table}`);
  let isMade = false;

  examineStore(name, async () => {
    if (isMade) {
      await admin
        .unsafe(
          `TRUNCATE ${prefixed.join(", ")}; ALTER SEQUENCE ${schema}.task_id RESTART; ALTER SEQUENCE ${schema}.batch RESTART; UPDATE ${schema}.meta SET pruned = 0`,
        )
        .simple();
    }
    isMade = true;
    const [store, peer] = [await open(), await open()];
    const startedAt = performance.now();
    const now = await store.now();
    return {
      store,
      peer,
      now: () => Math.floor(now + performance.now() - startedAt),
      forgetChanges: async () => {
        await admin
          .unsafe(
            `UPDATE ${schema}.meta SET pruned = (SELECT last_value * 16384 + 16383 FROM ${schema}.batch); DELETE FROM ${schema}.changes`,
          )
          .simple();
      },
      close: async () => {
        await store.close();
        await peer.close();
      },
    };
  });
}

await examine("PostgreSQL", sharedPostgres, "exam");
await examine("PostgreSQL behind PgBouncer", sharedPgbouncer, "bounced");
