import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { LEASE_MS, openEngine } from "../../test/support/engine.ts";
import { ask, claim, create, NEVER } from "../../test/support/verbs.ts";

describe("workers", () => {
  test("are known by what they ask for, in every process on the store", async () => {
    const clock = createManualClock();
    const { engine, store } = openEngine({ clock });
    const { engine: other } = openEngine({ clock, store });
    await create(engine);
    const { id } = await claim(engine);
    await engine.claimNow(ask({ worker: "рабочий", types: ["a.*"], max: 4, slots: 9 }));
    await engine.stats();
    const { workers } = await other.stats();
    expect(workers).toEqual([
      {
        name: "worker-1",
        types: ["*"],
        free: 0,
        slots: null,
        seenAt: engine.now(),
        isDraining: false,
        tasks: [id],
      },
      {
        name: "рабочий",
        types: ["a.*"],
        free: 4,
        slots: 9,
        seenAt: engine.now(),
        isDraining: false,
        tasks: [],
      },
    ]);
  });

  test("that wait for work are there as long as they wait, others for a minute", async () => {
    const { engine, clock } = openEngine();
    const leaving = new AbortController();
    const waiting = engine.claim(ask({ worker: "patient" }), leaving.signal);
    await engine.claimNow(ask({ worker: "gone" }));
    await clock.advance(59_000);
    expect((await engine.stats()).workers.map(({ name }) => name)).toEqual(["gone", "patient"]);
    await clock.advance(60_000);
    expect((await engine.stats()).workers.map(({ name }) => name)).toEqual(["patient"]);
    leaving.abort();
    await waiting;
  });

  test("are there as long as they beat", async () => {
    const { engine, clock } = openEngine();
    await create(engine);
    const { id, token } = await claim(engine);
    for (let round = 0; round < 10; round++) {
      await clock.advance(LEASE_MS / 2);
      await engine.extend([{ id, token, progress: null, log: [] }]);
    }
    expect((await engine.stats()).workers).toMatchObject([{ name: "worker-1", tasks: [id] }]);
  });

  test("are told to drain in every process within a second", async () => {
    const clock = createManualClock();
    const { engine, store } = openEngine({ clock });
    const { engine: other } = openEngine({ clock, store });
    expect(await other.isDraining("w")).toBe(false);
    await engine.drain("w", true);
    expect(await engine.isDraining("w")).toBe(true);
    expect(await other.isDraining("w")).toBe(false);
    await clock.advance(1_000);
    expect(await other.isDraining("w")).toBe(true);
    await clock.advance(12 * 3_600_000);
    expect(await other.isDraining("w")).toBe(false);
  });

  test("explain why a task waits", async () => {
    const { engine } = openEngine();
    const id = await create(engine, { type: "a.b" });
    expect(await engine.explain(id)).toMatchObject({ reason: "no_worker", position: 0 });
    const leaving = new AbortController();
    const waiting = engine.claim(ask({ worker: "other", types: ["b"] }), leaving.signal);
    expect((await engine.explain(id)).reason).toBe("no_worker");
    leaving.abort();
    await waiting;
    await engine.claim(ask({ worker: "taker", types: ["a.*"], max: 1 }), NEVER);
    const next = await create(engine, { type: "a.b" });
    expect(await engine.explain(next)).toMatchObject({ reason: "waiting_for_slot", workers: ["taker"] });
    expect((await engine.explain(id)).reason).toBe("running");
  });
});
