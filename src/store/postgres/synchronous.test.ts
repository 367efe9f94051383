/** A server that waits for a synchronous standby that is down: it answers reads, but not commits. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { SQL } from "bun";
import { createManualClock } from "../../../test/support/clock.ts";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { createPostgres, type PostgresServer } from "../../../test/support/servers/postgres.ts";
import { openTestStore } from "../../../test/support/stores.ts";
import type { Clock } from "../../core/clock.ts";
import { isTaskError } from "../../core/error.ts";
import { openPool } from "./pool.ts";

/** One connection for each write that waits. */
const CONNECTIONS = 3;

let server: PostgresServer;
let admin: SQL;

beforeEach(async () => {
  server = await createPostgres({ fsync: "off" });
  await server.start();
  admin = new SQL(server.url, { max: 1, prepare: false });
}, 300_000);

afterEach(async () => {
  await admin.close();
  await server.remove();
}, 300_000);

async function setStandby(name: string): Promise<void> {
  if (name !== "") await admin.unsafe("CREATE TABLE IF NOT EXISTS public.probe (n integer)");
  await admin.unsafe(`ALTER SYSTEM SET synchronous_standby_names = '${name}'`);
  await admin.unsafe("SELECT pg_reload_conf()");
  await eventually(
    () => admin.unsafe("SHOW synchronous_standby_names").values(),
    ([[value] = []]) => value === name,
  );
  if (name !== "") await commitsWait();
}

/** The setting takes effect when a process of the server has read it, which may be later than this session. Until then commits do not wait. */
async function commitsWait(): Promise<void> {
  const probe = new SQL(server.url, { max: 1, prepare: false, connection: { application_name: "probe" } });
  for (let isWaiting = false; !isWaiting; ) {
    const commit = probe.unsafe("INSERT INTO public.probe VALUES (1)").then(
      () => "done",
      () => "done", // when the server stops
    );
    const waits = async (): Promise<string> => {
      const [[waiting] = []] = await admin
        .unsafe("SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE application_name = 'probe'")
        .values();
      return waiting === true ? "waits" : "";
    };
    const outcome = await eventually(
      () => Promise.race([commit, waits()]),
      (answer) => answer !== "",
    );
    isWaiting = outcome === "waits";
  }
}

const count = async (condition: string): Promise<number> => {
  const [[found] = []] = await admin
    .unsafe(
      `SELECT count(*)::integer FROM pg_stat_activity WHERE application_name = 'tasktrack' AND ${condition}`,
    )
    .values();
  return Number(found);
};

test("leaves its waiting connections open, opens no others, and says that the writes may have been carried out", async () => {
  const [clock, log] = [createManualClock(), createTestLog()];
  let looks = 0; // checks of the server while it cannot be used; each is followed by this pause
  const after: Clock["after"] = (delayMs, run) => {
    if (delayMs === 250) looks++;
    return clock.after(delayMs, run);
  };
  const pool = await openPool({
    url: `${server.url}?connections=${CONNECTIONS}`,
    clock: { ...clock, after },
    log,
  });
  const nextLook = async (): Promise<void> => {
    const before = looks;
    await clock.advance(250);
    await eventually(
      () => looks,
      (count) => count > before,
    );
  };
  await admin.unsafe("CREATE TABLE t (n integer)");
  await setStandby("nowhere");
  const refusals = [1, 2, 3].map((n) =>
    pool.rows("INSERT INTO public.t VALUES ($1)", [n]).then(
      () => "answered",
      (error: unknown) => (isTaskError(error, "store_unavailable") ? error.message : String(error)),
    ),
  );
  await eventually(
    () => count("wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '2 s'"),
    (waiting) => waiting === 3,
  );
  await clock.advance(5_000);
  for (const refusal of await Promise.all(refusals)) expect(refusal).toInclude("may have been done");
  await eventually(
    () => looks,
    (count) => count > 0,
  );
  for (let round = 0; round < 50; round++) {
    await nextLook();
    const refusal = await pool.rows("SELECT 1").catch((error: unknown) => String(error));
    expect(refusal).toInclude("waits for a synchronous standby (synchronous_standby_names)");
  }
  expect(await count("true")).toBeLessThanOrEqual(2 * CONNECTIONS); // the waiting ones, and the ones that check the server
  expect(await count("wait_event = 'SyncRep'")).toBe(3);
  expect(log.events).toEqual(["store_reconnecting", "store_waits_for_standby"]);

  await setStandby("");
  await eventually(
    () => count("wait_event = 'SyncRep'"),
    (waiting) => waiting === 0,
  );
  await clock.advance(250);
  const rows = () => pool.rows("SELECT count(*)::integer AS n FROM public.t").catch(() => []);
  await eventually(rows, ([row]) => row?.n === 3);
  await pool.close();
}, 300_000);

test("a first start that waits for the standby logs the reason, and continues by itself", async () => {
  await setStandby("nowhere");
  const log = createTestLog();
  const opening = openTestStore(server.url, { log });
  await eventually(
    () => log.events,
    (events) => events.includes("store_migration_waits"),
  );
  expect(String(log.logged.find(({ event }) => event === "store_migration_waits")?.fields.message)).toMatch(
    /^PostgreSQL at 127.0.0.1:\d+\/postgres waits for a synchronous standby \(synchronous_standby_names\)$/,
  );
  await setStandby("");
  await (await opening).close();
}, 300_000);
