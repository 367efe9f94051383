/** The store of a working server is restarted, killed, frozen and disconnected: clients get 503, and no task is lost or stuck. */
import { afterAll, expect } from "bun:test";
import type { Task } from "../../src/core/task.ts";
import { eventually } from "../support/eventually.ts";
import { killLeftovers } from "../support/server-process.ts";
import { faultsOfAnswers, faultsOfCreates } from "./checkers.ts";
import { allEnded, type Member, readiness, startMember } from "./cluster.ts";
import { readAllTasks, runningIn } from "./history.ts";
import { type Asked, createSteadily, type SteadyLoad } from "./load.ts";
import { type ServedPlace, SHARED, servedPlace } from "./places.ts";
import { expectWithin, isFull, median, most, quantile, report, scale, testStores } from "./scale.ts";

const PER_SECOND = scale(20, 50);
const STEADY_MS = scale(500, 2_000);
/** Only a load that never recovers takes this long. The actual time is reported. */
const BACK_WITHIN_MS = 300_000;
/** The store's own limit is 5 s. */
const ANSWERED_WITHIN_MS = 6_500;
/** Longer than any outage here, so that no lease ends during one. */
const LONG_LEASE_MS = 120_000;
const LEAST_SILENCE_MS = scale(0, 15_000);

afterAll(killLeftovers);

type Scene = { readonly place: ServedPlace; readonly server: Member; readonly load: SteadyLoad };

/**
 * A server with tasks, under a steady load of creates. At its end it checks the invariants of every outage. If the answer to a
 * claim is lost, its tasks are claimed again after their leases, and the end waits for them: so leases are short.
 */
async function withLoad(
  { place, leaseMs }: { readonly place: ServedPlace; readonly leaseMs: number },
  body: (scene: Scene) => Promise<void>,
): Promise<readonly Asked[]> {
  const server = await startMember({
    ...{ STORE_URL: place.storeUrl, LEASE: `${leaseMs}ms`, WORKER_CONCURRENCY: "50" },
    // If there are few tasks, the work is slow, so that some tasks run at any moment.
    ...(isFull
      ? { SIMULATE_MIN: "50ms", SIMULATE_MAX: "200ms" }
      : { SIMULATE_MIN: "200ms", SIMULATE_MAX: "800ms" }),
  });
  const load = createSteadily(server.url, { perSecond: PER_SECOND });
  await body({ place, server, load });
  await load.stop();
  expect(faultsOfAnswers(load.asked)).toEqual([]);
  if (leaseMs < LONG_LEASE_MS) await allEnded(server.url, BACK_WITHIN_MS);
  expect(faultsOfCreates(load.asked, await readAllTasks(place.storeUrl))).toEqual([]);
  expect(server.lives).toHaveLength(1); // the server was never restarted
  expect(await server.stop()).toBe(0);
  return load.asked;
}

/** From now until 90 % of the requests of a second succeed, in milliseconds. */
async function backAfter({ load }: Scene): Promise<number> {
  const from = Date.now();
  const isGood = ({ askedAt, status }: Asked, since: number) => status === 201 && askedAt >= since;
  const window = 1_000;
  const firstGoodSecond = (): number | null => {
    for (let since = from; since + window < Date.now(); since += 50) {
      const good = load.asked.filter((asked) => isGood(asked, since) && asked.askedAt < since + window);
      if (good.length >= 0.9 * PER_SECOND * (window / 1_000)) return since - from;
    }
    return null;
  };
  return Number(await eventually(firstGoodSecond, (since) => since !== null, BACK_WITHIN_MS));
}

const historyOf = ({ attempts }: Task): string => attempts.map(({ outcome }) => outcome).join();

const refused = (asked: readonly Asked[]): number => asked.filter(({ status }) => status === 503).length;

testStores(
  SHARED,
  "restarts and kills of its server and cut connections lose nothing, and the load recovers by itself",
  async (name) => {
    const restarts = scale(2, 10);
    const place = await servedPlace(name);
    const back: number[] = [];
    const afterCut: number[] = [];
    const asked = await withLoad({ place, leaseMs: 5_000 }, async (scene) => {
      for (let restart = 0; restart < restarts; restart++) {
        await Bun.sleep(STEADY_MS);
        await place.end(restart % 2 === 0 ? "fast" : "kill");
        await place.start();
        back.push(await backAfter(scene));
      }
      await Bun.sleep(STEADY_MS);
      await place.cutConnections();
      afterCut.push(await backAfter(scene));
    });
    report(`restarts, ${name}`, {
      ...{ restarts, asked: asked.length, "503": refused(asked) },
      ...{ "back p50 ms": median(back), "max ms": most(back), "after cut connections ms": most(afterCut) },
    });
    await place.remove();
  },
);

type Silence = {
  readonly from: number;
  /** The tasks that ran when the freeze began. */
  readonly running: readonly number[];
};

/** Freezes the store while tasks run. A task may end between a read and the freeze, so the list is read after it. */
async function freezeAtWork({ place, server }: Scene): Promise<Silence> {
  for (;;) {
    await eventually(
      () => runningIn(server.current),
      (ids) => ids.length > 0,
    );
    await place.freeze();
    const from = Date.now();
    await readiness(server.url, false); // the store's last answers have been read by then
    const running = runningIn(server.current);
    if (running.length > 0) return { from, running };
    await place.thaw();
    await readiness(server.url, true);
  }
}

testStores(
  SHARED,
  "while the store is frozen clients are answered in time and running tasks continue, and everything works again after it",
  async (name) => {
    const place = await servedPlace(name);
    const back: number[] = [];
    let silence: Silence = { from: 0, running: [] };
    let asked: readonly Asked[] = [];
    await withLoad({ place, leaseMs: LONG_LEASE_MS }, async (scene) => {
      const { load, server } = scene;
      await Bun.sleep(STEADY_MS);
      silence = await freezeAtWork(scene);
      expect((await fetch(`${server.url}/livez`)).status).toBe(200);
      // The store is resumed only after all requests until now are answered.
      const [sent, until] = [load.sent, Date.now()];
      await eventually(
        () => load.asked.filter(({ askedAt }) => askedAt <= until).length,
        (answered) => answered >= sent,
        BACK_WITHIN_MS,
      );
      await Bun.sleep(LEAST_SILENCE_MS - (Date.now() - silence.from));
      asked = load.asked.filter(({ askedAt }) => askedAt > silence.from);
      await place.thaw();
      back.push(await backAfter(scene));
      await readiness(server.url, true);
      await eventually(
        () => runningIn(server.current),
        (ids) => !ids.some((id) => silence.running.includes(id)),
        BACK_WITHIN_MS,
      );
    });
    const histories = (await readAllTasks(place.storeUrl))
      .filter(({ id }) => silence.running.includes(id))
      .map(historyOf);
    expect(histories).toEqual(silence.running.map(() => "done")); // each settled by its own worker when the store was back

    const took = asked.map(({ tookMs }) => tookMs);
    report(`a silent server, ${name}`, {
      ...{ running: silence.running.length, asked: asked.length, "503": refused(asked) },
      ...{ "answered p50 ms": median(took), "p99 ms": quantile(took, 0.99), "max ms": most(took) },
      "back after ms": most(back),
    });
    expect(asked.length).toBeGreaterThan(0);
    expect(refused(asked)).toBe(asked.length);
    expectWithin(most(took), ANSWERED_WITHIN_MS);
    await place.remove();
  },
);
