import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog, createTestStore } from "../../test/support/engine.ts";
import { createProcessRegistry } from "./process-registry.ts";

const FORGOTTEN_AFTER_MS = 31_000;

function openRegistries(count: number) {
  const clock = createManualClock();
  const store = createTestStore(clock);
  const open = (name: string) =>
    createProcessRegistry({
      ...{ store, name, now: clock.now, clock, log: createTestLog() },
      waiting: () => [{ types: ["b", "a"], max: 3 }],
    });
  const registries = Array.from({ length: count }, (_, n) => open(`process-${n}`));
  for (const { service } of registries) service.start();
  return { clock, registries, store };
}

/** In each of some seconds, how many processes are on turn. */
const onTurn = ({ clock, registries }: ReturnType<typeof openRegistries>, atOnce: number): number[] =>
  Array.from(
    { length: 30 },
    (_, second) =>
      registries.filter((process) => process.isOnTurn(clock.now() + second * 1_000, atOnce)).length,
  );

describe("processes on a store", () => {
  test("know each other, and for which tasks they wait", async () => {
    const { clock, registries } = openRegistries(3);
    await clock.advance(6_000);
    for (const process of registries) {
      expect(process.known()).toEqual(registries.map(({ name }) => ({ name, types: ["a", "b"], free: 3 })));
    }
  });

  test("forget a process that stops", async () => {
    const { clock, registries } = openRegistries(3);
    await clock.advance(6_000);
    await registries[0]?.service.stop(1_000);
    await clock.advance(6_000);
    expect(registries[2]?.known().map(({ name }) => name)).toEqual(["process-1", "process-2"]);
  });

  test("forget a process that has died, after half a minute", async () => {
    const { clock, registries, store } = openRegistries(2);
    await store.writeDocuments(
      [{ name: "process/dead", value: '{"types":[],"free":0}', until: clock.now() + 25_000 }],
      clock.now(),
    );
    await clock.advance(6_000);
    expect(registries[0]?.known()).toHaveLength(3);
    await clock.advance(FORGOTTEN_AFTER_MS);
    expect(registries[0]?.known()).toHaveLength(2);
  });

  test("do shared work in turn, as many at once as asked for", async () => {
    const opened = openRegistries(7);
    await opened.clock.advance(6_000);
    expect(onTurn(opened, 2)).toEqual(Array(30).fill(2));
    const turns = opened.registries.map(
      (process) =>
        Array.from({ length: 70 }, (_, second) => process.isOnTurn(second * 1_000, 2)).filter(Boolean).length,
    );
    expect(turns).toEqual(Array(7).fill(20));
  });

  test("are all on turn while they do not know each other, and if they are few", async () => {
    const opened = openRegistries(2);
    expect(onTurn(opened, 1)).toEqual(Array(30).fill(2));
    await opened.clock.advance(6_000);
    expect(onTurn(opened, 1)).toEqual(Array(30).fill(1));
    expect(onTurn(opened, 2)).toEqual(Array(30).fill(2));
  });
});
