/** The whole server is killed during its work, several times. All acknowledged tasks exist afterwards. */
import { Database } from "bun:sqlite";
import { afterAll, expect } from "bun:test";
import { create, settle, TYPE_DEFAULTS } from "../../src/core/lifecycle.ts";
import { eventually } from "../support/eventually.ts";
import { createRandom } from "../support/random.ts";
import { killLeftovers } from "../support/server-process.ts";
import { DONE } from "../support/verbs.ts";
import { faultsOfCreates } from "./checkers.ts";
import { allEnded, createMember, type Member, readiness } from "./cluster.ts";
import { withStore } from "./history.ts";
import { type Asked, createUntilGone } from "./load.ts";
import { DURABLE, durablePlace } from "./places.ts";
import { median, most, report, scale, testStores } from "./scale.ts";

const KILLS = scale(3, 20);
const CLIENTS = 16;
/** Ended tasks in the store at the start of a server. */
const STANDING = scale(2_000, 100_000);
/** Only a test that hangs takes this long, also on a machine that is busy with other tests. */
const READY_WITHIN_MS = 120_000;

afterAll(killLeftovers);

testStores(DURABLE, "kill -9 under load loses no acknowledged task and doubles none", async (name) => {
  const place = await durablePlace(name);
  await stand(place.storeUrl);
  const server = createMember({
    STORE_URL: place.storeUrl,
    // Short work, so that the kill also interrupts claims and settles.
    SIMULATE_MIN: "1ms",
    SIMULATE_MAX: "20ms",
    LEASE: "1s",
    LOG_LEVEL: "info",
  });
  const random = createRandom(20_260_101);
  const asked: Asked[] = [];
  const readyAfter: number[] = [];

  for (let kill = 0; kill < KILLS; kill++) {
    readyAfter.push(await startTimed(server));
    await killUnderLoad(server, {
      prefix: `kill ${kill}`,
      enough: 100 + Math.floor(random() * 400),
      asked,
    });
  }
  if (name === "SQLite") expectWhole(place.storeUrl);

  readyAfter.push(await startTimed(server));
  const listed = await listAll(server.url);
  const own = listed.filter(({ name }) => !name.startsWith("standing"));
  expect(faultsOfCreates(asked, own)).toEqual([]);
  expect(listed.length - own.length).toBe(STANDING);
  // The sweep finds the tasks that were running at a kill, and they end.
  await allEnded(server.url);
  expect(await server.stop()).toBe(0);
  report(`kill -9, ${name}`, {
    kills: KILLS,
    acknowledged: asked.filter(({ id }) => id !== null).length,
    standing: STANDING,
    "ready p50 ms": median(readyAfter),
    "max ms": most(readyAfter),
  });
  await place.remove();
});

/** Fills a new store with tasks that have ended. */
async function stand(storeUrl: string): Promise<void> {
  await withStore(storeUrl, async (store) => {
    for (let made = 0; made < STANDING; made += 1_000) {
      const now = await store.now();
      const requests = Array.from({ length: 1_000 }, (_, n) => ({
        drafts: [create({ name: `standing ${made + n}` }, TYPE_DEFAULTS, now)],
        idempotency: null,
      }));
      await store.insert(requests, now);
      const ask = { worker: "w", types: ["*"], max: 1_000, leaseMs: 30_000 };
      const [tasks = []] = await store.claim([ask], { now, nonce: "n" });
      const steps = tasks.map((from) => ({
        from,
        to: settle(from, { token: from.token, outcome: DONE }, now, 0),
      }));
      await store.replace(steps);
    }
  });
}

/** From the start of the process to its first ready answer, in milliseconds. */
async function startTimed(server: Member): Promise<number> {
  const from = performance.now();
  await server.start();
  await readiness(server.url, true, READY_WITHIN_MS);
  return performance.now() - from;
}

/** Kills the server when it has acknowledged enough; resolves when every client has noticed. */
async function killUnderLoad(
  server: Member,
  { prefix, enough, asked }: { prefix: string; enough: number; asked: Asked[] },
): Promise<void> {
  let acknowledged = 0;
  const tell = (answer: Asked): void => {
    asked.push(answer);
    if (answer.id !== null) acknowledged++;
  };
  const clients = createUntilGone(server.url, { clients: CLIENTS, prefix, tell });
  await eventually(
    () => acknowledged,
    (count) => count >= enough,
    READY_WITHIN_MS,
  );
  await server.kill();
  await clients;
}

function expectWhole(storeUrl: string): void {
  using db = new Database(storeUrl.slice("sqlite:".length));
  expect(db.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
}

const listAll = async (url: string) =>
  (await (await fetch(`${url}/api/task`)).json()) as { readonly id: number; readonly name: string }[];
