import { describe, expect, test } from "bun:test";
import { settled } from "../../test/support/clock.ts";
import { createSemaphore, type Semaphore } from "./semaphore.ts";

const NEVER = new AbortController().signal;

/** Asks for a place; `release` is undefined while the request waits. */
function ask(semaphore: Semaphore) {
  const leaving = new AbortController();
  const asked = {
    release: undefined as (() => void) | null | undefined,
    leave: () => leaving.abort(),
  };
  void semaphore.acquire(leaving.signal).then((release) => {
    asked.release = release;
  });
  return asked;
}

const granted = (asked: readonly ReturnType<typeof ask>[]): boolean[] =>
  asked.map(({ release }) => typeof release === "function");

describe("a semaphore", () => {
  test("gives as many places as it has, and the next when one is freed, in the order in which they were asked for", async () => {
    const semaphore = createSemaphore(2);
    const asked = Array.from({ length: 4 }, () => ask(semaphore));
    await settled();
    expect(granted(asked)).toEqual([true, true, false, false]);
    asked[1]?.release?.();
    await settled();
    expect(granted(asked)).toEqual([true, true, true, false]);
    asked[0]?.release?.();
    await settled();
    expect(granted(asked)).toEqual([true, true, true, true]);
  });

  test("gives no place to a waiter whose signal has aborted: the next waiter gets it", async () => {
    const semaphore = createSemaphore(1);
    const [holder, leaver, second, third] = [0, 1, 2, 3].map(() => ask(semaphore));
    await settled();
    leaver?.leave();
    await settled();
    expect(leaver?.release).toBeNull();
    holder?.release?.();
    await settled();
    expect(second?.release).toBeFunction();
    expect(third?.release).toBeUndefined();
  });

  test("a holder whose signal aborts later still holds its place", async () => {
    const semaphore = createSemaphore(1);
    const holder = ask(semaphore);
    await settled();
    holder.leave();
    const next = ask(semaphore);
    await settled();
    expect(next.release).toBeUndefined();
    holder.release?.();
    await settled();
    expect(next.release).toBeFunction();
  });

  test("a place that is freed twice is freed once", async () => {
    const semaphore = createSemaphore(1);
    const holder = ask(semaphore);
    const waiters = [ask(semaphore), ask(semaphore)];
    await settled();
    holder.release?.();
    holder.release?.();
    await settled();
    expect(granted(waiters)).toEqual([true, false]);
  });

  test("gives no place to a request whose signal has already aborted, although a place is free", async () => {
    const semaphore = createSemaphore(1);
    expect(await semaphore.acquire(AbortSignal.abort())).toBeNull();
    expect(await semaphore.acquire(NEVER)).toBeFunction();
  });

  test("refuses all present and later waiters after its close", async () => {
    const semaphore = createSemaphore(1);
    const asked = [ask(semaphore), ask(semaphore), ask(semaphore)];
    await settled();
    semaphore.close();
    await settled();
    expect(asked.map(({ release }) => release === null)).toEqual([false, true, true]);
    asked[0]?.release?.();
    expect(await semaphore.acquire(NEVER)).toBeNull();
  });

  test("never has more holders than places, and all places are free in the end, for any order of requests and aborts", async () => {
    const semaphore = createSemaphore(3);
    let held = 0;
    let most = 0;
    // A small deterministic generator, so that the order of events is the same each time.
    let seed = 7;
    const draw = (below: number): number => {
      seed = (seed * 48_271) % 2_147_483_647;
      return seed % below;
    };
    const asked: { leave: () => void }[] = [];
    const releases: (() => void)[] = [];
    const ends: Promise<void>[] = [];
    for (let step = 0; step < 2_000; step++) {
      const deed = draw(3);
      if (deed === 0) {
        const leaving = new AbortController();
        asked.push({ leave: () => leaving.abort() });
        ends.push(
          semaphore.acquire(leaving.signal).then((release) => {
            if (release === null) return;
            most = Math.max(most, ++held);
            releases.push(() => {
              held--;
              release();
            });
          }),
        );
      } else if (deed === 1) asked[draw(asked.length + 1)]?.leave();
      else releases.splice(draw(releases.length + 1), 1)[0]?.();
      await Promise.resolve();
    }
    for (const { leave } of asked) leave();
    await Promise.all(ends);
    for (const release of releases) release();
    expect(most).toBe(3);
    const again = await Promise.all([1, 2, 3].map(() => semaphore.acquire(NEVER)));
    expect(again.every((release) => release !== null)).toBe(true);
  });
});
