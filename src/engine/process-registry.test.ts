import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog, createTestStore } from "../../test/support/engine.ts";
import { createProcessRegistry } from "./process-registry.ts";

const FORGOTTEN_AFTER_MS = 31_000;

function openFleet(count: number) {
  const clock = createManualClock();
  const store = createTestStore(clock);
  const open = (name: string) =>
    createProcessRegistry({
      ...{ store, name, now: clock.now, clock, log: createTestLog() },
      waiting: () => [{ types: ["b", "a"], max: 3 }],
    });
  const fleet = Array.from({ length: count }, (_, n) => open(`process-${n}`));
  for (const { service } of fleet) service.start();
  return { clock, fleet, store };
}

/** In each of some seconds, how many processes are on turn. */
const onTurn = ({ clock, fleet }: ReturnType<typeof openFleet>, atOnce: number): number[] =>
  Array.from(
    { length: 30 },
    (_, second) => fleet.filter((process) => process.isOnTurn(clock.now() + second * 1_000, atOnce)).length,
  );

describe("processes on a store", () => {
  test("know each other, and for which tasks they wait", async () => {
    const { clock, fleet } = openFleet(3);
    await clock.advance(6_000);
    for (const process of fleet) {
      expect(process.known()).toEqual(fleet.map(({ name }) => ({ name, types: ["a", "b"], free: 3 })));
    }
  });

  test("forget a process that stops", async () => {
    const { clock, fleet } = openFleet(3);
    await clock.advance(6_000);
    await fleet[0]?.service.stop(1_000);
    await clock.advance(6_000);
    expect(fleet[2]?.known().map(({ name }) => name)).toEqual(["process-1", "process-2"]);
  });

  test("forget a process that has died, after half a minute", async () => {
    const { clock, fleet, store } = openFleet(2);
    await store.writeDocuments(
      [{ name: "process/dead", value: '{"types":[],"free":0}', until: clock.now() + 25_000 }],
      clock.now(),
    );
    await clock.advance(6_000);
    expect(fleet[0]?.known()).toHaveLength(3);
    await clock.advance(FORGOTTEN_AFTER_MS);
    expect(fleet[0]?.known()).toHaveLength(2);
  });

  test("do shared work in turn, as many at once as asked for", async () => {
    const opened = openFleet(7);
    await opened.clock.advance(6_000);
    expect(onTurn(opened, 2)).toEqual(Array(30).fill(2));
    const turns = opened.fleet.map(
      (process) =>
        Array.from({ length: 70 }, (_, second) => process.isOnTurn(second * 1_000, 2)).filter(Boolean).length,
    );
    expect(turns).toEqual(Array(7).fill(20));
  });

  test("are all on turn while they do not know each other, and if they are few", async () => {
    const opened = openFleet(2);
    expect(onTurn(opened, 1)).toEqual(Array(30).fill(2));
    await opened.clock.advance(6_000);
    expect(onTurn(opened, 1)).toEqual(Array(30).fill(1));
    expect(onTurn(opened, 2)).toEqual(Array(30).fill(2));
  });
});
