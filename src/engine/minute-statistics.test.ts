import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { openEngine } from "../../test/support/engine.ts";
import { claim, create, DONE, FAILED, RELEASED } from "../../test/support/verbs.ts";

const MINUTE_MS = 60_000;

describe("the last hour", () => {
  test("has the steps of the engine, minute by minute", async () => {
    const { engine, clock } = openEngine();
    const startedAt = engine.now();
    await create(engine);
    await clock.advance(2_000);
    const first = await claim(engine);
    await clock.advance(3_000);
    await engine.settle(first.id, first.token, { ...FAILED, retryAfterMs: 0 });
    await clock.advance(MINUTE_MS);
    const second = await claim(engine);
    await engine.settle(second.id, second.token, RELEASED);
    const third = await claim(engine);
    await clock.advance(1_000);
    await engine.settle(third.id, third.token, DONE);
    const { minutes } = await engine.stats();
    expect(minutes).toEqual([
      {
        at: Math.floor(startedAt / MINUTE_MS) * MINUTE_MS,
        ...{ created: 1, done: 0, failed: 0, cancelled: 0, retried: 1, lost: 0 },
        ...{ waitMs: 2_000, longestWaitMs: 2_000, runMs: 3_000, longestRunMs: 3_000 },
      },
      {
        at: (Math.floor(startedAt / MINUTE_MS) + 1) * MINUTE_MS,
        ...{ created: 0, done: 1, failed: 0, cancelled: 0, retried: 0, lost: 0 },
        ...{ waitMs: 60_000, longestWaitMs: 60_000, runMs: 1_000, longestRunMs: 1_000 },
      },
    ]);
  });

  test("is summed over all processes on the store", async () => {
    let processes = 0;
    const nonce = (): string => `n${++processes}`;
    const clock = createManualClock();
    const { engine, store } = openEngine({ clock, nonce });
    const { engine: other } = openEngine({ clock, store, nonce });
    await create(engine);
    await create(other);
    await other.stats();
    expect((await engine.stats()).minutes).toMatchObject([{ created: 2 }]);
  });

  test("has its newest minute, also with the documents of many processes", async () => {
    const { engine, store, clock } = openEngine({ nonce: () => "zz" });
    const now = engine.now();
    const minute = (n: number): number => (Math.floor(now / MINUTE_MS) - 59 + n) * MINUTE_MS;
    const sums = {
      ...{ created: 1, done: 0, failed: 0, cancelled: 0, retried: 0, lost: 0 },
      ...{ waitMs: 0, runMs: 0, longestWaitMs: 0, longestRunMs: 0 },
    };
    for (let n = 0; n < 60; n++) {
      const documents = Array.from({ length: 200 }, (_, process) => ({
        name: `minute/${minute(n)}/p${process}`,
        value: JSON.stringify(sums),
        until: now + 70 * MINUTE_MS,
      }));
      await store.writeDocuments(documents, now);
    }
    await create(engine);
    await clock.advance(0);
    const { minutes } = await engine.stats();
    expect(minutes.map(({ created }) => created)).toEqual([...Array(59).fill(200), 201]);
  });

  test("has no older minutes", async () => {
    const { engine, clock } = openEngine();
    await create(engine);
    await clock.advance(59 * MINUTE_MS);
    expect((await engine.stats()).minutes.length).toBe(1);
    await clock.advance(2 * MINUTE_MS);
    expect((await engine.stats()).minutes).toEqual([]);
  });
});
