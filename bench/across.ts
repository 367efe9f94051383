/** A task that one process creates and another one works on: its waiting time with two idle processes. */
import { measurePickup, PICKUP_SETTINGS, type Pickup, pickupRow } from "./pickup.ts";
import { figure, percentile, printTable, type Verdict } from "./report.ts";
import { startTasktrack, stop } from "./servers.ts";
import { type Store, startPostgres, startRedis } from "./stores.ts";

const WARM_UP = 200;

/** The worker listens only for /livez and /readyz; tasks are created at the other process. */
const measureOn = async (store: Store, tasks: number, targetMs: number): Promise<Verdict> => {
  const settings = { ...PICKUP_SETTINGS, STORE_URL: await store.empty() };
  const api = await startTasktrack({ ...settings, ROLE: "api" });
  const worker = await startTasktrack({ ...settings, ROLE: "worker" });
  for (let task = 0; task < WARM_UP; task += 1) {
    await measurePickup(api);
  }
  const pickups: Pickup[] = [];
  for (let task = 0; task < tasks; task += 1) {
    pickups.push(await measurePickup(api));
  }
  await stop(worker);
  await stop(api);
  await store.remove();
  const seen = pickups.map(({ seenMs }) => seenMs);
  printTable([
    [`${store.name}, ${figure(tasks)} tasks, ms`, "p50", "p99", "p99.9", "most"],
    pickupRow("201 received to a get that says running", seen),
    pickupRow(
      "create sent to a get that says running",
      pickups.map(({ sentMs }) => sentMs),
    ),
    pickupRow(
      "created_at to started_at",
      pickups.map(({ storedMs }) => storedMs),
    ),
  ]);
  return {
    what: `create in one process to running in another on ${store.name}, p50`,
    measured: percentile(seen, 0.5),
    target: targetMs,
    want: "at most",
    unit: " ms",
  };
};

export const across = async (quick: boolean): Promise<Verdict[]> => {
  const tasks = quick ? 300 : 3_000;
  const verdict = await measureOn(await startPostgres(), tasks, 5);
  return [verdict, await measureOn(await startRedis("everysec"), tasks, 2)];
};
