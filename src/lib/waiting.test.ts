import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { abortWithin, createSleeper, linkedAbort, onAbort, sleep, within } from "./waiting.ts";

/** A manual clock that counts its timers, and a signal that counts its listeners. */
function open() {
  const clock = createManualClock();
  const controller = new AbortController();
  const { signal } = controller;
  const pending = { timers: 0, listeners: 0 };
  const after = (delayMs: number, run: () => void): (() => void) => {
    pending.timers++;
    let isPending = true;
    const over = (): void => {
      if (isPending) pending.timers--;
      isPending = false;
    };
    const cancel = clock.after(delayMs, () => {
      over();
      run();
    });
    return () => {
      over();
      cancel();
    };
  };
  const counted = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args: Parameters<typeof addEventListener>) => {
    counted.add(args[1]);
    pending.listeners = counted.size;
    addEventListener.apply(signal, args);
  };
  signal.removeEventListener = (...args: Parameters<typeof removeEventListener>) => {
    counted.delete(args[1]);
    pending.listeners = counted.size;
    removeEventListener.apply(signal, args);
  };
  return { clock, timers: { after }, controller, signal, pending };
}

/** Whether the promise has an outcome by now. */
async function isOver(promise: Promise<unknown>): Promise<boolean> {
  let over = false;
  const setDone = (): void => {
    over = true;
  };
  promise.then(setDone, setDone);
  await settled();
  return over;
}

describe("sleep", () => {
  test("ends with the time, and leaves no timer and no listener", async () => {
    const { clock, timers, signal, pending } = open();
    const sleeping = sleep(timers, 1_000, signal);
    await clock.advance(999);
    expect([await isOver(sleeping), pending]).toEqual([false, { timers: 1, listeners: 1 }]);
    await clock.advance(1);
    expect([await isOver(sleeping), pending]).toEqual([true, { timers: 0, listeners: 0 }]);
  });

  test("ends with the signal, and leaves no timer and no listener", async () => {
    const { timers, controller, signal, pending } = open();
    const sleeping = sleep(timers, 1_000, signal);
    controller.abort();
    expect([await isOver(sleeping), pending]).toEqual([true, { timers: 0, listeners: 0 }]);
  });

  test("ends at once if the signal has aborted before", async () => {
    const { timers, controller, signal, pending } = open();
    controller.abort();
    expect([await isOver(sleep(timers, 1_000, signal)), pending]).toEqual([
      true,
      { timers: 0, listeners: 0 },
    ]);
  });

  test("needs no signal", async () => {
    const { clock, timers } = open();
    const sleeping = sleep(timers, 1_000);
    await clock.advance(1_000);
    expect(await isOver(sleeping)).toBe(true);
  });
});

describe("a sleeper", () => {
  test("sleeps for the given time, unless it is woken", async () => {
    const { clock, timers, pending } = open();
    const sleeper = createSleeper(timers);
    const undisturbed = sleeper.sleep(1_000);
    await clock.advance(999);
    expect(await isOver(undisturbed)).toBe(false);
    await clock.advance(1);
    expect(await isOver(undisturbed)).toBe(true);
    const woken = sleeper.sleep(1_000);
    sleeper.wake();
    expect([await isOver(woken), pending.timers]).toEqual([true, 0]);
  });

  test("can be woken after a delay, which never makes the sleep longer", async () => {
    const { clock, timers, pending } = open();
    const sleeper = createSleeper(timers);
    const sleeping = sleeper.sleep(1_000);
    sleeper.wake(10);
    await clock.advance(9);
    sleeper.wake(10);
    sleeper.wake(2_000);
    expect(await isOver(sleeping)).toBe(false);
    await clock.advance(1);
    expect([await isOver(sleeping), pending.timers]).toEqual([true, 0]);
  });

  test("a wake-up while nothing sleeps does not shorten the next sleep", async () => {
    const sleeper = createSleeper(open().timers);
    sleeper.wake();
    expect(await isOver(sleeper.sleep(1_000))).toBe(false);
  });
});

describe("within", () => {
  test("returns an outcome that comes in time, and removes the timer", async () => {
    const { timers, pending } = open();
    expect(await within(timers, 1_000, Promise.resolve(1), null)).toBe(1);
    const error = new Error("no");
    expect(await within(timers, 1_000, Promise.reject(error), null).catch((thrown) => thrown)).toBe(error);
    expect(pending.timers).toBe(0);
  });

  test("returns the other value when the time is up, and ignores the promise after that", async () => {
    const { clock, timers } = open();
    const { promise, reject } = Promise.withResolvers<number>();
    const limited = within(timers, 1_000, promise, null);
    await clock.advance(1_000);
    expect(await limited).toBeNull();
    reject(new Error("too late"));
    await settled(); // an unhandled rejection would fail this test
  });
});

describe("linked signals", () => {
  test("abort with the first signal, and with its reason", () => {
    const [first, second] = [new AbortController(), new AbortController()];
    const linked = linkedAbort(first.signal, second.signal);
    expect(linked.signal.aborted).toBe(false);
    second.abort("second");
    first.abort("first");
    expect(linked.signal.reason).toBe("second");
  });

  test("are aborted from the start if one of the signals is", () => {
    expect(linkedAbort(AbortSignal.abort("before")).signal.reason).toBe("before");
  });

  test("abort by themselves and leave the others alone", () => {
    const { signal } = open();
    const linked = linkedAbort(signal);
    linked.abort("own");
    expect([linked.signal.reason, signal.aborted]).toEqual(["own", false]);
  });

  test("do not abort any more once unlinked, and leave no listener", () => {
    const { controller, signal, pending } = open();
    const linked = linkedAbort(signal);
    linked.unlink();
    controller.abort();
    expect([linked.signal.aborted, pending.listeners]).toEqual([false, 0]);
  });

  test("abort after the time limit, unless unlinked before", async () => {
    const { clock, timers, signal, pending } = open();
    const limited = abortWithin(timers, 1_000, signal);
    const unlinked = abortWithin(timers, 1_000, signal);
    unlinked.unlink();
    await clock.advance(1_000);
    limited.unlink();
    expect([limited.signal.aborted, unlinked.signal.aborted]).toEqual([true, false]);
    expect(pending).toEqual({ timers: 0, listeners: 0 });
  });
});

test("a listener is called at once for a signal that has aborted, and never after its removal", () => {
  const { controller, signal } = open();
  let calls = 0;
  const call = (): void => {
    calls++;
  };
  onAbort(signal, call)();
  controller.abort();
  expect(calls).toBe(0);
  onAbort(signal, call);
  expect(calls).toBe(1);
});
