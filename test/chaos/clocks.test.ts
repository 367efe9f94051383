/** Processes whose own clocks differ by an hour use the store's clock: nothing is early or late. */
import { afterAll, expect, test } from "bun:test";
import { parseDurationMs } from "../../src/core/duration.ts";
import type { Task } from "../../src/core/task.ts";
import { eventually } from "../support/eventually.ts";
import { cannotShift, shiftedBy } from "../support/faketime.ts";
import { killLeftovers } from "../support/server-process.ts";
import { faultsOfLife } from "./checkers.ts";
import { allEnded, killAtWork, type Member, startMember } from "./cluster.ts";
import { pidOf, readAllTasks, recoveries } from "./history.ts";
import { type Asked, createSteadily } from "./load.ts";
import { corner, SHARED } from "./places.ts";
import { most, report, SHORT_LEASE_MS, scale, testStores } from "./scale.ts";

const DELAY_MS = 3_000;
/** The process reads the store's time once a second and rounds it; the error is half a round trip. A task that is due early starts at once. */
const CLOCK_ERROR_MS = DELAY_MS / 2;
/** The allowed delay on a machine that is busy with other tests. With a wrong clock, the delay is an hour. */
const LATE_MS = 120_000;

afterAll(killLeftovers);

/** One sentence each; `[]` if the task was created, due, started and measured by the right clock. */
function faultsOfTimes(task: Task, { askedAt, tookMs }: Asked): string[] {
  const { id, createdAt, runAt, attempts, startedAt, workedMs } = task;
  const isNear = (ms: number, from: number, until: number): boolean =>
    ms >= from - CLOCK_ERROR_MS && ms <= until + CLOCK_ERROR_MS;
  const simulated = parseDurationMs(String(JSON.parse(task.result ?? "{}").simulated)) ?? Number.NaN;
  const first = attempts[0]?.startedAt ?? Number.NaN;
  const worked = workedMs - (attempts.length > 1 ? Number(startedAt) - first : 0); // approximately, of the last attempt
  const checks: [boolean, string][] = [
    [isNear(createdAt, askedAt, askedAt + tookMs), `asked for at ${askedAt}, created at ${createdAt}`],
    [runAt === createdAt + DELAY_MS || attempts.length > 1, `created at ${createdAt}, due at ${runAt}`],
    [isNear(first, createdAt + DELAY_MS, createdAt + DELAY_MS + LATE_MS), `due at ${runAt}, run at ${first}`],
    [worked <= simulated + LATE_MS, `worked ${worked} ms of ${simulated}`],
    [
      attempts.length > 1 || isNear(worked, simulated, simulated + LATE_MS),
      `worked ${worked} of ${simulated}`,
    ],
  ];
  return checks.flatMap(([holds, what]) => (holds ? [] : [`task ${id}: ${what}`]));
}

/** The durations of the running tasks by the server, and the time since their creates. */
async function expectRunningTimes(url: string, asked: readonly Asked[]): Promise<void> {
  const running = async () => {
    const response = await fetch(`${url}/api/task?status=running&limit=1000&view=full`);
    return (await response.json()) as { readonly id: number; readonly duration: string }[]; // openapi.test.ts checks the form
  };
  const tasks = await eventually(running, ({ length }) => length > 0);
  const now = Date.now();
  for (const { id, duration } of tasks) {
    const ms = parseDurationMs(duration) ?? Number.NaN;
    const askedAt = asked.find((each) => each.id === id)?.askedAt ?? Number.NaN;
    expect(ms).toBeGreaterThanOrEqual(0);
    expect(ms).toBeLessThan(now - askedAt + CLOCK_ERROR_MS);
  }
}

const lostIn = ({ attempts }: Task): number[] =>
  attempts.filter(({ outcome }) => outcome === "lost").map(({ worker }) => pidOf(worker));

if (cannotShift !== null) test.skip(`clocks that are wrong: ${cannotShift}`, () => undefined);
else {
  testStores(
    SHARED,
    "processes whose clocks are an hour apart start tasks when they are due, keep leases and lose none too soon",
    async (name) => {
      const place = corner(name);
      const common = {
        STORE_URL: place.storeUrl,
        LEASE: `${SHORT_LEASE_MS}ms`,
        DISPATCH_INTERVAL: `${DELAY_MS}ms`,
      };
      const work = { ...common, ROLE: "worker", SIMULATE_MIN: "1500ms", SIMULATE_MAX: "2500ms" };
      const slow = await startMember({ ...common, ...shiftedBy(-1), ROLE: "api" });
      const fast = await startMember({ ...work, ...shiftedBy(1), WORKER_CONCURRENCY: "5" });
      expectHourOff(slow, -1);
      expectHourOff(fast, 1);

      const load = createSteadily(slow.url, { perSecond: 20 }); // until the kill, however long the starts take
      await expectRunningTimes(slow.url, load.asked); // of the fast process, which runs alone
      const right = await startMember({ ...work, WORKER_CONCURRENCY: "100" });
      const deaths = new Map([await killAtWork(fast)]);
      await eventually(
        () => load.sent,
        (sent) => sent >= scale(40, 200),
      );
      await load.stop();
      await allEnded(slow.url);
      for (const member of [slow, right]) expect(await member.stop()).toBe(0);

      const tasks = await readAllTasks(place.storeUrl);
      expect(tasks.flatMap(faultsOfLife)).toEqual([]);
      const askedOf = new Map(load.asked.map((asked) => [asked.id, asked]));
      expect(tasks.flatMap((task) => faultsOfTimes(task, askedOf.get(task.id) as Asked))).toEqual([]); // each was created by the load
      expect(new Set(tasks.flatMap(lostIn))).toEqual(new Set(deaths.keys())); // no lease of a living worker
      const recovered = recoveries(tasks, deaths);
      expect(Math.min(...recovered)).toBeGreaterThan(0);
      expect(most(recovered)).toBeLessThan(SHORT_LEASE_MS + 5_000 + LATE_MS);
      report(`clocks an hour apart, ${name}`, {
        ...{ tasks: tasks.length, "leases lost by the killed one": recovered.length },
        ...{ "recovered first ms": Math.min(...recovered), "last ms": most(recovered) },
      });
      await place.remove();
    },
  );
}

/** The log has the time of the process's own clock: this checks that the clock is wrong. */
function expectHourOff(member: Member, hours: number): void {
  const saidAt = Date.parse(String(member.events().find(({ event }) => event === "listening")?.time));
  expect(Math.abs(saidAt - Date.now() - hours * 3_600_000)).toBeLessThan(60_000);
}
