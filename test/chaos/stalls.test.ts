/**
 * A running worker does not lose its lease because of a freeze of the server or a change of the server's clock: it sends
 * heartbeats over HTTP all the time, and every answer confirms its lease. A dead worker is still detected.
 */
import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "../support/eventually.ts";
import { cannotShift, shiftedByFile } from "../support/faketime.ts";
import { killLeftovers } from "../support/server-process.ts";
import { type Member, startMember } from "./cluster.ts";
import { corner, SHARED } from "./places.ts";
import { testStores } from "./scale.ts";

const HOUR_S = 3_600;
/** Much longer than the pauses of the test's own process on a busy machine. */
const LEASE_MS = 4_000;
const BEAT_EVERY_MS = LEASE_MS / 8;
/** A bit more than three leases. */
const BEATS_IN_A_FREEZE = 26;

afterAll(killLeftovers);

type Claimed = { readonly id: number; readonly token: string };

async function post(url: string, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(BEAT_EVERY_MS * 4),
  });
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return response.json();
}

/** Creates a task and claims it. */
async function claimOne(url: string, worker: string): Promise<Claimed> {
  await post(url, "/api/task", { name: "n", type: "remote" });
  const answer = (await post(url, "/api/worker/claim", {
    ...{ worker, types: ["remote"], max: 1, lease: `${LEASE_MS}ms`, wait: "10s" },
  })) as { tasks: { id: number; lease: { token: string } }[] };
  const [task] = answer.tasks;
  if (task === undefined) throw new Error("expected a task");
  return { id: task.id, token: task.lease.token };
}

/** Sends heartbeats without waiting for the previous answer. `sent` counts them, `answers` are the received statuses. */
function keepBeating(url: string, worker: string, lease: Claimed) {
  const state = { sent: 0, answers: [] as string[] };
  const beat = async (): Promise<void> => {
    state.sent++;
    try {
      const body = { worker, leases: [lease] };
      const { leases } = (await post(url, "/api/worker/heartbeat", body)) as { leases: { status: string }[] };
      state.answers.push(String(leases[0]?.status));
    } catch {
      // frozen, or too slow: the next heartbeat does the same
    }
  };
  const timer = setInterval(() => void beat(), BEAT_EVERY_MS);
  return { state, stop: () => clearInterval(timer) };
}

async function lossesOf(url: string, id: number): Promise<number> {
  const response = await fetch(`${url}/api/task/${id}`);
  const { attempts } = (await response.json()) as { attempts: { outcome: string }[] }; // openapi.test.ts checks the form
  return attempts.filter(({ outcome }) => outcome === "lost").length;
}

/**
 * One worker sends heartbeats and one is dead, while the server is disturbed. The running worker never gets the status `lost`, and
 * its result counts. The task of the dead worker is detected as lost.
 */
async function expectFair(
  server: Member,
  trouble: (living: { sent: number }) => Promise<void>,
): Promise<void> {
  const living = await claimOne(server.url, "living");
  const worker = keepBeating(server.url, "living", living);
  const dead = await claimOne(server.url, "dead");
  const { state } = worker;
  const answered = (more: number) => {
    const from = state.answers.length;
    return eventually(
      () => state.answers.length,
      (count) => count >= from + more,
    );
  };
  await answered(2);
  await trouble(state);
  await answered(16); // two leases later
  await eventually(
    () => lossesOf(server.url, dead.id),
    (losses) => losses > 0,
  );
  worker.stop();
  expect(new Set(state.answers)).toEqual(new Set(["ok"]));
  expect(await lossesOf(server.url, living.id)).toBe(0);
  await post(server.url, `/api/task/${living.id}/complete`, { token: living.token, result: 1 });
}

const SETTINGS = { LEASE: "1s", DISPATCH_INTERVAL: "200ms" };

async function freezeThreeLeases(server: Member, living: { sent: number }): Promise<void> {
  server.freeze();
  const until = living.sent + BEATS_IN_A_FREEZE;
  await eventually(
    () => living.sent,
    (sent) => sent >= until,
  );
  server.thaw();
}

testStores(
  ["memory", ...SHARED] as const,
  "a server that is frozen for three leases takes no task from a worker that sends heartbeats all the time",
  async (name) => {
    const place = name === "memory" ? null : corner(name);
    const server = await startMember({ ...SETTINGS, STORE_URL: place?.storeUrl ?? "memory:" });
    await expectFair(server, (living) => freezeThreeLeases(server, living));
    expect(await server.stop()).toBe(0);
    await place?.remove();
  },
);

if (cannotShift !== null) test.skip(`clocks that are set: ${cannotShift}`, () => undefined);
else {
  testStores(
    ["memory", "SQLite"] as const,
    "a clock that is set forward and back by an hour, twice, costs no living worker its task",
    async (name) => {
      const home = await mkdtemp(join(tmpdir(), "tasktrack-clock-"));
      const file = join(home, "offset");
      const setClock = (hours: number) =>
        writeFile(file, `${hours < 0 ? "-" : "+"}${Math.abs(hours) * HOUR_S}\n`);
      await setClock(0);
      const server = await startMember({
        ...SETTINGS,
        ...shiftedByFile(file),
        STORE_URL: name === "memory" ? "memory:" : `sqlite:${join(home, "tasks.db")}`,
      });
      const toldOf = (count: number) =>
        eventually(
          () => server.events().filter(({ event }) => event === "store_clock_set").length,
          (reported) => reported >= count,
        );
      await expectFair(server, async () => {
        for (const [at, hours] of [1, 0, -1, 0].entries()) {
          await setClock(hours);
          await toldOf(at + 1);
        }
      });
      expect(await server.stop()).toBe(0);
      await rm(home, { recursive: true });
    },
  );
}
