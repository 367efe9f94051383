import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { LEASE_MS, openEngine } from "../../test/support/engine.ts";
import { ask, claim, create, createMany, NEVER } from "../../test/support/verbs.ts";

describe("workers", () => {
  test("are known with their types and slots, in every process on the store", async () => {
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
        running: 1,
        tasks: [id],
      },
      {
        name: "рабочий",
        types: ["a.*"],
        free: 4,
        slots: 9,
        seenAt: engine.now(),
        isDraining: false,
        running: 0,
        tasks: [],
      },
    ]);
  });

  test("are listed while their claims wait, and for a minute after their last call", async () => {
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

  test("are listed as long as they send heartbeats", async () => {
    const { engine, clock } = openEngine();
    await create(engine);
    const { id, token } = await claim(engine);
    for (let round = 0; round < 10; round++) {
      await clock.advance(LEASE_MS / 2);
      await engine.extend([{ id, token, progress: null, log: [] }]);
    }
    expect((await engine.stats()).workers).toMatchObject([{ name: "worker-1", tasks: [id] }]);
  });

  test("are asked to drain in every process within a second", async () => {
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

  test("are listed and drained one by one, with names of any characters and of any allowed length", async () => {
    const clock = createManualClock();
    const { engine, store } = openEngine({ clock });
    const { engine: other } = openEngine({ clock, store });
    const names = ["я".repeat(254), "🙂".repeat(254), "x".repeat(254), "%".repeat(254)].flatMap((begin) => [
      `${begin}a`,
      `${begin}b`,
    ]);
    for (const worker of [...names, "short", "#short"]) await engine.claimNow(ask({ worker }));
    const drained = names.filter((_, n) => n % 2 === 0);
    for (const worker of drained) await engine.drain(worker, true);
    await clock.advance(1_000);
    for (const worker of names) expect(await other.isDraining(worker)).toBe(drained.includes(worker));
    await engine.stats();
    const { workers } = await other.stats();
    expect(workers.map(({ name }) => name).sort()).toEqual([...names, "short", "#short"].sort());
    expect(
      workers
        .filter(({ isDraining }) => isDraining)
        .map(({ name }) => name)
        .sort(),
    ).toEqual(drained.sort());
    for (const worker of drained) await other.drain(worker, false);
    await clock.advance(1_000);
    for (const worker of names) expect(await engine.isDraining(worker)).toBe(false);
  });

  test("have all their tasks counted, also large ones, and the first hundred listed", async () => {
    const { engine } = openEngine();
    const payload = JSON.stringify("x".repeat(900_000));
    for (let n = 0; n < 20; n++) await create(engine, { payload });
    const large: number[] = [];
    while (large.length < 20) {
      for (const { id } of await engine.claimNow(ask({ worker: "large", max: 20 }))) large.push(id);
    }
    await createMany(engine, 1_500);
    for (let n = 0; n < 2; n++) await engine.claimNow(ask({ worker: "many", max: 1_000 }));
    const { workers, isComplete } = await engine.stats();
    expect(workers.map(({ name, running, tasks }) => [name, running, tasks.length])).toEqual([
      ["large", 20, 20],
      ["many", 1_500, 100],
    ]);
    expect(isComplete).toBe(true);
  });

  test("are marked as incomplete if more than ten thousand tasks run", async () => {
    const { engine } = openEngine();
    await createMany(engine, 10_001);
    for (let n = 0; n < 11; n++) await engine.claimNow(ask({ worker: "many", max: 1_000 }));
    expect(await engine.stats()).toMatchObject({ workers: [{ running: 10_000 }], isComplete: false });
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
