import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestStore, LEASE_MS, openEngine } from "../../test/support/engine.ts";
import { claim, create, HOUR_MS } from "../../test/support/verbs.ts";

describe("the time that decides about tasks", () => {
  /** An engine whose process is an hour behind its store. */
  function openBehind() {
    const clock = createManualClock();
    const store = createTestStore({ ...clock, now: () => clock.now() + HOUR_MS });
    return openEngine({ clock, store });
  }

  test("is the store's time after its first answer", async () => {
    const { engine, clock, store } = openBehind();
    await engine.start();
    expect(engine.now()).toBe(clock.now() + HOUR_MS);
    const id = await create(engine, { delayMs: 5_000 });
    expect(await engine.get(id)).toMatchObject({
      createdAt: await store.now(),
      runAt: (await store.now()) + 5_000,
    });
    await engine.close();
  });

  test("judges leases as the store does", async () => {
    const { engine, clock, store } = openBehind();
    await engine.start();
    const id = await create(engine);
    expect((await claim(engine)).lease.until).toBe((await store.now()) + LEASE_MS);
    await clock.advance(LEASE_MS - 1_000);
    expect((await engine.get(id)).status).toBe("running");
    await clock.advance(2_500);
    expect(await engine.get(id)).toMatchObject({ status: "pending", losses: 1 });
    await engine.close();
  });

  test("does not jump with the process's clock", async () => {
    const steady = createManualClock();
    let jump = 0;
    const { engine } = openEngine({
      clock: { ...steady, now: () => steady.now() + jump },
      store: createTestStore(steady),
    });
    await engine.start();
    jump = -5 * HOUR_MS;
    await steady.advance(500);
    expect(engine.now()).toBe(steady.now());
    await engine.close();
  });

  test("is measured again at every sweep, from the middle of the round trip", async () => {
    const clock = createManualClock();
    let ahead = 0;
    const { engine } = openEngine({
      clock,
      around: (store) => ({
        ...store,
        now: async () => {
          await clock.advance(100);
          const now = clock.now() + ahead;
          await clock.advance(100);
          return now;
        },
      }),
    });
    ahead = 7_000;
    await engine.sweep();
    expect(engine.now()).toBe(clock.now() + 7_000);
    ahead = -7_000;
    await engine.sweep();
    expect(engine.now()).toBe(clock.now() - 7_000);
  });

  describe("if one direction of the round trip to the store is slow", () => {
    /** The first answer comes at once. Each later one has the store's time and arrives four seconds later. */
    async function openSlow() {
      const clock = createManualClock();
      const state = { isSlow: false, ahead: 0 };
      const { engine, store } = openEngine({
        clock,
        around: (inner) => ({
          ...inner,
          now: async () => {
            if (state.isSlow) await clock.advance(4_000);
            return clock.now() + state.ahead;
          },
        }),
      });
      await engine.sweep();
      state.isSlow = true;
      return { engine, clock, store, state };
    }

    test("is kept, and no lease seems lost too early", async () => {
      const { engine, clock } = await openSlow();
      const id = await create(engine);
      await claim(engine);
      await clock.advance(LEASE_MS - 5_000);
      await engine.sweep(); // ends a second before the lease
      expect(engine.now()).toBe(clock.now());
      expect((await engine.get(id)).status).toBe("running");
    });

    test("is still measured again if the answer shows that the store's clock was set", async () => {
      const { engine, clock, state } = await openSlow();
      state.ahead = HOUR_MS;
      await engine.sweep();
      expect(Math.abs(engine.now() - clock.now() - HOUR_MS)).toBeLessThanOrEqual(2_000);
    });
  });

  test("is the time of the process until the first answer of the store", () => {
    const { engine, clock } = openBehind();
    expect(engine.now()).toBe(clock.now());
  });
});
