import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createHand } from "./unacked.ts";

const SILENT_MS = 100;
const NEVER = new AbortController().signal;

/** A hand that holds so many bells, and what has become of each. */
function holding(count: number) {
  let silences = 0;
  const clock = createManualClock();
  const hand = createHand({ clock, silentMs: SILENT_MS, onSilence: () => silences++ });
  const fates: string[] = [];
  const take = (): void => {
    const at = fates.push("held") - 1;
    void hand.take().then((fate) => {
      fates[at] = fate;
    });
  };
  for (let n = 0; n < count; n++) take();
  return { hand, fates, take, clock, silences: () => silences };
}

describe("bells in hand", () => {
  test("are heard as one, at once", async () => {
    const { hand } = holding(3);
    expect(await hand.hear(NEVER)).not.toBeNull();
  });

  test("are answered as many as there were tasks, the oldest first", async () => {
    const { hand, fates } = holding(4);
    await (await hand.hear(NEVER))?.ack(3);
    await Promise.resolve();
    expect(fates).toEqual(["answered", "answered", "answered", "held"]);
  });

  test("are not heard again while the store is asked, but what is left of them is heard after it", async () => {
    const { hand, take } = holding(1);
    const first = await hand.hear(NEVER);
    let isHeard = false;
    const second = hand.hear(NEVER).then((bell) => {
      isHeard = true;
      return bell;
    });
    take();
    await Promise.resolve();
    expect(isHeard).toBe(false);
    await first?.ack(1);
    expect(await second).not.toBeNull();
  });

  test("are all answered when there was nothing to be had, but for those that came after it was asked", async () => {
    const { hand, fates, take } = holding(2);
    const bell = await hand.hear(NEVER);
    take();
    await bell?.ack(0);
    await Promise.resolve();
    expect(fates).toEqual(["answered", "answered", "held"]);
  });

  test("may be fewer than there were tasks", async () => {
    const { hand, fates } = holding(1);
    await (await hand.hear(NEVER))?.ack(10);
    await Promise.resolve();
    expect(fates).toEqual(["answered"]);
  });

  test("go to others when they are put back, and do not come to an answer that is late", async () => {
    const { hand, fates, take } = holding(2);
    const bell = await hand.hear(NEVER);
    hand.putBack();
    take();
    await bell?.ack(0);
    await Promise.resolve();
    expect(fates).toEqual(["returned", "returned", "held"]);
  });

  test("are put back at the end, and so is what comes after it", async () => {
    const { hand, fates, take } = holding(1);
    hand.close();
    take();
    await Promise.resolve();
    expect(fates).toEqual(["returned", "returned"]);
    expect(await hand.hear(NEVER)).toBeNull();
  });
});

describe("silence", () => {
  test("is told of when nobody has listened for a while", async () => {
    const { hand, clock, silences } = holding(0);
    const abort = new AbortController();
    const [stays, leaves] = [hand.hear(NEVER), hand.hear(abort.signal)];
    abort.abort();
    expect(await leaves).toBeNull();
    await clock.advance(SILENT_MS);
    expect(silences()).toBe(0);
    void hand.take();
    expect(await stays).not.toBeNull();
    await clock.advance(SILENT_MS - 1);
    expect(silences()).toBe(0);
    await clock.advance(1);
    expect(silences()).toBe(1);
  });

  test("is none where somebody listens again before, nor after the end", async () => {
    const { hand, clock, silences } = holding(1);
    await hand.hear(NEVER);
    await clock.advance(SILENT_MS - 1);
    const again = hand.hear(NEVER);
    await clock.advance(SILENT_MS);
    expect(silences()).toBe(0);
    hand.close();
    expect(await again).toBeNull();
    await clock.advance(SILENT_MS);
    expect(silences()).toBe(0);
  });
});
