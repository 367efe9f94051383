import { describe, expect, test } from "bun:test";
import { createBrokerQueue } from "./combined.ts";
import type { Bell, BrokerWakeUps, TaskQueue } from "./wake-ups.ts";

/** Wake-ups that the test sends. */
function createManual() {
  const listeners = new Set<(bell: Bell | null) => void>();
  const hear: TaskQueue["hear"] = (_types, signal) =>
    new Promise((resolve) => {
      const listener = (wakeUp: Bell | null): void => {
        listeners.delete(listener);
        resolve(wakeUp);
      };
      listeners.add(listener);
      signal.addEventListener("abort", () => listener(null));
      if (signal.aborted) listener(null);
    });
  const send = (wakeUp: Bell): void => {
    for (const listener of [...listeners]) listener(wakeUp);
  };
  return { hear, send, listeners: () => listeners.size };
}

function open() {
  const [broker, store] = [createManual(), createManual()];
  const state = { isLive: true };
  const sent: (readonly string[])[] = [];
  const fromBroker: BrokerWakeUps = {
    ring: async (types) => void sent.push(types),
    hear: broker.hear,
    isLive: () => state.isLive,
    close: async () => undefined,
  };
  return { queue: createBrokerQueue(fromBroker, store), broker, store, state, sent };
}

const newWakeUp = (): Bell => ({ ack: async () => undefined });
const NEVER = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a broker with the store", () => {
  test("notifies by the broker and listens to it", async () => {
    const { queue, broker, sent } = open();
    const wakeUp = newWakeUp();
    const waiting = queue.hear(["mail"], NEVER);
    await queue.ring(["mail"]);
    broker.send(wakeUp);
    expect(await waiting).toBe(wakeUp);
    expect(sent).toEqual([["mail"]]);
  });

  test("ignores the store's wake-ups while the broker's arrive", async () => {
    const { queue, broker, store } = open();
    const waiting = queue.hear(["mail"], NEVER);
    store.send(newWakeUp());
    await turn();
    store.send(newWakeUp());
    await turn();
    const wakeUp = newWakeUp();
    broker.send(wakeUp);
    expect(await waiting).toBe(wakeUp);
  });

  test("reports the store's wake-ups while the broker's do not arrive", async () => {
    const { queue, store, state } = open();
    const waiting = queue.hear(["mail"], NEVER);
    store.send(newWakeUp());
    await turn();
    state.isLive = false;
    const wakeUp = newWakeUp();
    store.send(wakeUp);
    expect(await waiting).toBe(wakeUp);
  });

  test("reports the broker's wake-up if both come at once", async () => {
    const { queue, broker, store, state } = open();
    state.isLive = false;
    const waiting = queue.hear(["mail"], NEVER);
    const wakeUp = newWakeUp();
    store.send(newWakeUp());
    broker.send(wakeUp);
    expect(await waiting).toBe(wakeUp);
  });

  test("listens to neither after the call has ended", async () => {
    const { queue, broker, store } = open();
    const abort = new AbortController();
    const waiting = queue.hear(["mail"], abort.signal);
    abort.abort();
    expect(await waiting).toBeNull();
    const answered = queue.hear(["mail"], NEVER);
    broker.send(newWakeUp());
    await answered;
    expect([broker.listeners(), store.listeners()]).toEqual([0, 0]);
    expect(await queue.hear(["mail"], AbortSignal.abort())).toBeNull();
  });
});
