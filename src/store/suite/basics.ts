import { expect } from "bun:test";
import type { Exam } from "./examinee.ts";

/** The clocks of different machines may differ by this much. */
const TOLERANCE_MS = 60_000;

export function examineBasics(exam: Exam): void {
  exam("the store's clock agrees with the clock of the test", async ({ store, now }) => {
    expect(Math.abs((await store.now()) - now())).toBeLessThan(TOLERANCE_MS);
  });

  exam("the store's clock does not go back", async ({ store }) => {
    const first = await store.now();
    expect(await store.now()).toBeGreaterThanOrEqual(first);
  });

  exam("all processes use the same clock", async ({ store, peer }) => {
    const [before, between, after] = [await store.now(), await peer.now(), await store.now()];
    expect(between).toBeGreaterThanOrEqual(before);
    expect(after).toBeGreaterThanOrEqual(between);
  });

  exam("a process reads the writes of another process", async ({ run, see, beat, peer, removed, t }) => {
    const running = await run({ key: "k" });
    expect(await peer.get([running.id])).toStrictEqual([running]);
    await beat(running, t + 1, { log: [{ level: "info", message: "line" }] });
    expect(await peer.get([running.id])).toStrictEqual([await see(running.id)]);
    expect((await peer.readLog(running.id, 0)).length).toBe(1);
    await removed(running.id);
    expect(await peer.count({})).toBe(0);
  });

  exam("a store can be closed twice", async ({ store, add }) => {
    await add();
    expect(await store.close()).toBeUndefined();
    expect(await store.close()).toBeUndefined();
  });

  exam("a store that was never used can be closed twice at the same time", async ({ store }) => {
    await Promise.all([store.close(), store.close()]);
    expect(await store.close()).toBeUndefined();
  });

  exam("a store with watchers can be closed", async ({ store, peer }) => {
    const unwatch = [store, peer].map((connection) => connection.watch(() => undefined));
    await store.close();
    for (const stop of unwatch) stop();
    expect(await store.close()).toBeUndefined();
  });
}
