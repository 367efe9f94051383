import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createUnacked } from "./unacked.ts";

const IDLE_MS = 100;
const NEVER = new AbortController().signal;

/** This number of unacknowledged wake-ups, and the disposition of each. */
function openWith(count: number) {
  let idleCalls = 0;
  const clock = createManualClock();
  const unacked = createUnacked({ clock, idleMs: IDLE_MS, onIdle: () => idleCalls++ });
  const dispositions: string[] = [];
  const add = (): void => {
    const at = dispositions.push("unacked") - 1;
    void unacked.add().then((disposition) => {
      dispositions[at] = disposition;
    });
  };
  for (let n = 0; n < count; n++) add();
  return { unacked, dispositions, add, clock, idleCalls: () => idleCalls };
}

describe("unacknowledged wake-ups", () => {
  test("are reported as one, at once", async () => {
    const { unacked } = openWith(3);
    expect(await unacked.listen(NEVER)).not.toBeNull();
  });

  test("are acknowledged: as many as tasks were claimed, the oldest first", async () => {
    const { unacked, dispositions } = openWith(4);
    await (await unacked.listen(NEVER))?.ack(3);
    await Promise.resolve();
    expect(dispositions).toEqual(["acknowledge", "acknowledge", "acknowledge", "unacked"]);
  });

  test("are not reported while a claim is under way; the rest is reported after it", async () => {
    const { unacked, add } = openWith(1);
    const first = await unacked.listen(NEVER);
    let isReported = false;
    const second = unacked.listen(NEVER).then((wakeUp) => {
      isReported = true;
      return wakeUp;
    });
    add();
    await Promise.resolve();
    expect(isReported).toBe(false);
    await first?.ack(1);
    expect(await second).not.toBeNull();
  });

  test("are all acknowledged after an empty claim, except those that were added after it began", async () => {
    const { unacked, dispositions, add } = openWith(2);
    const wakeUp = await unacked.listen(NEVER);
    add();
    await wakeUp?.ack(0);
    await Promise.resolve();
    expect(dispositions).toEqual(["acknowledge", "acknowledge", "unacked"]);
  });

  test("may be fewer than the claimed tasks", async () => {
    const { unacked, dispositions } = openWith(1);
    await (await unacked.listen(NEVER))?.ack(10);
    await Promise.resolve();
    expect(dispositions).toEqual(["acknowledge"]);
  });

  test("are returned, and a late ack does not touch those that were added later", async () => {
    const { unacked, dispositions, add } = openWith(2);
    const wakeUp = await unacked.listen(NEVER);
    unacked.returnAll();
    add();
    await wakeUp?.ack(0);
    await Promise.resolve();
    expect(dispositions).toEqual(["return", "return", "unacked"]);
  });

  test("are returned at the close, and so are those that are added after it", async () => {
    const { unacked, dispositions, add } = openWith(1);
    unacked.close();
    add();
    await Promise.resolve();
    expect(dispositions).toEqual(["return", "return"]);
    expect(await unacked.listen(NEVER)).toBeNull();
  });
});

describe("onIdle", () => {
  test("is called once nothing has listened for a while", async () => {
    const { unacked, clock, idleCalls } = openWith(0);
    const abort = new AbortController();
    const [stays, leaves] = [unacked.listen(NEVER), unacked.listen(abort.signal)];
    abort.abort();
    expect(await leaves).toBeNull();
    await clock.advance(IDLE_MS);
    expect(idleCalls()).toBe(0);
    void unacked.add();
    expect(await stays).not.toBeNull();
    await clock.advance(IDLE_MS - 1);
    expect(idleCalls()).toBe(0);
    await clock.advance(1);
    expect(idleCalls()).toBe(1);
  });

  test("is not called after another listen, nor after the close", async () => {
    const { unacked, clock, idleCalls } = openWith(1);
    await unacked.listen(NEVER);
    await clock.advance(IDLE_MS - 1);
    const again = unacked.listen(NEVER);
    await clock.advance(IDLE_MS);
    expect(idleCalls()).toBe(0);
    unacked.close();
    expect(await again).toBeNull();
    await clock.advance(IDLE_MS);
    expect(idleCalls()).toBe(0);
  });
});
