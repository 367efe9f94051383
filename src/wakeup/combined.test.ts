import { describe, expect, test } from "bun:test";
import { createCombinedWakeUps } from "./combined.ts";
import type { BrokerWakeUps, WakeUp, WakeUps } from "./wake-ups.ts";

/** Wake-ups that the test sends. */
function createManual() {
  const listeners = new Set<(bell: WakeUp | null) => void>();
  const listen: WakeUps["listen"] = (_types, signal) =>
    new Promise((resolve) => {
      const listener = (wakeUp: WakeUp | null): void => {
        listeners.delete(listener);
        resolve(wakeUp);
      };
      listeners.add(listener);
      signal.addEventListener("abort", () => listener(null));
      if (signal.aborted) listener(null);
    });
  const send = (wakeUp: WakeUp): void => {
    for (const listener of [...listeners]) listener(wakeUp);
  };
  return { listen, send, listeners: () => listeners.size };
}

function open() {
  const [broker, store] = [createManual(), createManual()];
  const state = { isLive: true };
  const sent: (readonly string[])[] = [];
  const fromBroker: BrokerWakeUps = {
    notify: async (types) => void sent.push(types),
    listen: broker.listen,
    isLive: () => state.isLive,
    close: async () => undefined,
  };
  return { wakeUps: createCombinedWakeUps(fromBroker, store), broker, store, state, sent };
}

const newWakeUp = (): WakeUp => ({ ack: async () => undefined });
const NEVER = new AbortController().signal;
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a broker with the store", () => {
  test("notifies by the broker and listens to it", async () => {
    const { wakeUps, broker, sent } = open();
    const wakeUp = newWakeUp();
    const waiting = wakeUps.listen(["mail"], NEVER);
    await wakeUps.notify(["mail"]);
    broker.send(wakeUp);
    expect(await waiting).toBe(wakeUp);
    expect(sent).toEqual([["mail"]]);
  });

  test("ignores the store's wake-ups while the broker's arrive", async () => {
    const { wakeUps, broker, store } = open();
    const waiting = wakeUps.listen(["mail"], NEVER);
    store.send(newWakeUp());
    await turn();
    store.send(newWakeUp());
    await turn();
    const wakeUp = newWakeUp();
    broker.send(wakeUp);
    expect(await waiting).toBe(wakeUp);
  });

  test("reports the store's wake-ups while the broker's do not arrive", async () => {
    const { wakeUps, store, state } = open();
    const waiting = wakeUps.listen(["mail"], NEVER);
    store.send(newWakeUp());
    await turn();
    state.isLive = false;
    const wakeUp = newWakeUp();
    store.send(wakeUp);
    expect(await waiting).toBe(wakeUp);
  });

  test("reports the broker's wake-up if both come at once", async () => {
    const { wakeUps, broker, store, state } = open();
    state.isLive = false;
    const waiting = wakeUps.listen(["mail"], NEVER);
    const wakeUp = newWakeUp();
    store.send(newWakeUp());
    broker.send(wakeUp);
    expect(await waiting).toBe(wakeUp);
  });

  test("listens to neither after the call has ended", async () => {
    const { wakeUps, broker, store } = open();
    const abort = new AbortController();
    const waiting = wakeUps.listen(["mail"], abort.signal);
    abort.abort();
    expect(await waiting).toBeNull();
    const answered = wakeUps.listen(["mail"], NEVER);
    broker.send(newWakeUp());
    await answered;
    expect([broker.listeners(), store.listeners()]).toEqual([0, 0]);
    expect(await wakeUps.listen(["mail"], AbortSignal.abort())).toBeNull();
  });
});
