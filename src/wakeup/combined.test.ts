import { describe, expect, test } from "bun:test";
import { createBrokerQueue } from "./combined.ts";
import type { Bell, BrokerWakeUps, TaskQueue } from "./wake-ups.ts";

/** A doorbell that is rung by hand. */
function createByHand() {
  const ears = new Set<(bell: Bell | null) => void>();
  const hear: TaskQueue["hear"] = (_types, signal) =>
    new Promise((resolve) => {
      const ear = (bell: Bell | null): void => {
        ears.delete(ear);
        resolve(bell);
      };
      ears.add(ear);
      signal.addEventListener("abort", () => ear(null));
      if (signal.aborted) ear(null);
    });
  const sound = (bell: Bell): void => {
    for (const ear of [...ears]) ear(bell);
  };
  return { hear, sound, ears: () => ears.size };
}

function open() {
  const [broker, store] = [createByHand(), createByHand()];
  const state = { isLive: true };
  const rung: (readonly string[])[] = [];
  const bells: BrokerWakeUps = {
    ring: async (types) => void rung.push(types),
    hear: broker.hear,
    isLive: () => state.isLive,
    close: async () => undefined,
  };
  return { queue: createBrokerQueue(bells, store), broker, store, state, rung };
}

const bellOf = (): Bell => ({ ack: async () => undefined });
const NEVER = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a broker as doorbell", () => {
  test("is what is rung, and what is heard", async () => {
    const { queue, broker, rung } = open();
    const bell = bellOf();
    const hearing = queue.hear(["mail"], NEVER);
    await queue.ring(["mail"]);
    broker.sound(bell);
    expect(await hearing).toBe(bell);
    expect(rung).toEqual([["mail"]]);
  });

  test("lets the store's ring by while it can be heard", async () => {
    const { queue, broker, store } = open();
    const hearing = queue.hear(["mail"], NEVER);
    store.sound(bellOf());
    await turn();
    store.sound(bellOf());
    await turn();
    const bell = bellOf();
    broker.sound(bell);
    expect(await hearing).toBe(bell);
  });

  test("is stood in for by the store's ring while it cannot be heard", async () => {
    const { queue, store, state } = open();
    const hearing = queue.hear(["mail"], NEVER);
    store.sound(bellOf());
    await turn();
    state.isLive = false;
    const bell = bellOf();
    store.sound(bell);
    expect(await hearing).toBe(bell);
  });

  test("is what is answered when both ring at once", async () => {
    const { queue, broker, store, state } = open();
    state.isLive = false;
    const hearing = queue.hear(["mail"], NEVER);
    const bell = bellOf();
    store.sound(bellOf());
    broker.sound(bell);
    expect(await hearing).toBe(bell);
  });

  test("listens to neither when nobody hears any more", async () => {
    const { queue, broker, store } = open();
    const abort = new AbortController();
    const hearing = queue.hear(["mail"], abort.signal);
    abort.abort();
    expect(await hearing).toBeNull();
    const answered = queue.hear(["mail"], NEVER);
    broker.sound(bellOf());
    await answered;
    expect([broker.ears(), store.ears()]).toEqual([0, 0]);
    expect(await queue.hear(["mail"], AbortSignal.abort())).toBeNull();
  });
});
