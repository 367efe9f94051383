import { expect, test } from "bun:test";
import { createManualClock } from "../../../test/support/clock.ts";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { openAdmin } from "../../../test/support/postgres.ts";
import { sharedPostgres } from "../../../test/support/servers/shared.ts";
import { systemClock } from "../../lib/system-clock.ts";
import { openConnections } from "./connections.ts";
import { inSchemaSession } from "./schema-session.ts";
import { readServerUrl } from "./server-url.ts";

test("the log says what a migration waits for, also while it sleeps between two tries to lock the table", async () => {
  const server = readServerUrl(sharedPostgres());
  const log = createTestLog();
  const clock = createManualClock();
  const connections = await openConnections({ server, clock: systemClock, log, onAway: () => undefined });
  const admin = openAdmin();
  const running = Promise.withResolvers<number>();
  const session = inSchemaSession({ server, connections, clock, log }, async ({ rows, script }) => {
    const [row] = await rows("SELECT pg_backend_pid() AS pid");
    running.resolve(Number(row?.pid));
    await script("SELECT pg_sleep(600)");
  });
  const ended = session.catch((error: unknown) => String(error));
  const pid = await running.promise;
  const messages = () => log.logged.filter(({ event }) => event === "store_migration_waits");
  await eventually(
    async () => {
      await clock.advance(5_000);
      return messages();
    },
    (found) => found.length > 0,
  );
  expect(String(messages()[0]?.fields.message)).toEndWith(
    "waits for the end of transactions that have locked the table of tasks",
  );
  await clock.advance(60_000);
  await admin.unsafe(`SELECT pg_cancel_backend(${pid})`);
  expect(await ended).toContain("canceling statement");
  expect(messages()).toHaveLength(1); // it is said once
  await connections.close();
  await admin.close();
});
