import { describe, expect, test } from "bun:test";
import { openEngine } from "../../test/support/engine.ts";
import { claim, counting, create } from "../../test/support/verbs.ts";

describe("a listener for revocations", () => {
  test("is called for changes of tasks, and for their deletion with no version", async () => {
    const { engine, clock } = openEngine();
    const received: unknown[] = [];
    const unlisten = engine.onRevoked((hint) => received.push(hint));
    await clock.advance(1);
    const id = await create(engine);
    const { token } = await claim(engine);
    await engine.extend([{ id, token, progress: { percent: 1, message: "" }, log: [] }]);
    await engine.cancel(id);
    await engine.remove(id);
    await clock.advance(100);
    expect(received).toEqual([
      { id, version: 2 },
      { id, version: 3 },
      { id, version: null },
    ]);
    unlisten();
    await engine.cancel(await create(engine));
    await clock.advance(5_000);
    expect(received).toHaveLength(3);
  });

  test("is called within a second if the store does not notify", async () => {
    const { engine, clock } = openEngine({ around: (store) => ({ ...store, watch: () => () => undefined }) });
    const received: unknown[] = [];
    engine.onRevoked((hint) => received.push(hint));
    await clock.advance(1);
    const id = await create(engine);
    await engine.remove(id);
    await clock.advance(1_000);
    expect(received).toEqual([{ id, version: null }]);
    await engine.close();
  });

  test("is called again after the change log could not be read", async () => {
    let away = false;
    const { engine, clock, log } = openEngine({
      around: (store) => ({
        ...store,
        changes: (...args) => (away ? Promise.reject(new Error("away")) : store.changes(...args)),
      }),
    });
    const received: unknown[] = [];
    engine.onRevoked((hint) => received.push(hint));
    await clock.advance(1);
    away = true;
    const id = await create(engine);
    await engine.remove(id);
    await clock.advance(1_500);
    away = false;
    await clock.advance(1_000);
    expect(received).toEqual([{ id, version: null }]);
    expect(log.events).toContain("changes_failed");
    await engine.close();
  });

  test("is the only reason to read the change log", async () => {
    const calls = counting();
    const { engine, clock } = openEngine(calls);
    const changing = async (): Promise<number> => {
      await engine.cancel(await create(engine));
      await clock.advance(5_000);
      return calls.take("changes");
    };
    expect(await changing()).toBe(0);
    const unlisten = engine.onRevoked(() => undefined);
    expect(await changing()).toBeGreaterThan(0);
    unlisten();
    expect(await changing()).toBe(0);
    engine.onRevoked(() => undefined);
    await engine.close();
    expect(await changing()).toBe(0);
  });

  test("ends the reading of the change log at the close, also during a read", async () => {
    const gate = Promise.withResolvers<void>();
    let read = 0;
    const { engine, clock } = openEngine({
      around: (store) => ({
        ...store,
        changes: async (...args) => {
          read++;
          await gate.promise;
          return store.changes(...args);
        },
      }),
    });
    engine.onRevoked(() => undefined);
    await clock.advance(1);
    await engine.close();
    gate.resolve();
    await clock.advance(10_000);
    expect(read).toBe(1);
  });
});
