import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { createRandom } from "../../test/support/random.ts";
import { createDueQueue, type Due } from "./due-queue.ts";
import { systemClock } from "./system-clock.ts";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

/** A queue with a clock that the test moves; `timers` is the number of timers of the clock that are set. */
function open(onDue: (member: string) => void = () => undefined) {
  const manual = createManualClock();
  let timers = 0;
  let timersSet = 0;
  const clock = {
    ...manual,
    after: (delayMs: number, run: () => void) => {
      timers++;
      timersSet++;
      let isSet = true;
      const end = (): void => {
        if (isSet) timers--;
        isSet = false;
      };
      const cancel = manual.after(delayMs, () => {
        end();
        run();
      });
      return () => {
        end();
        cancel();
      };
    },
  };
  const served: [member: string, at: number][] = [];
  const queue = createDueQueue<string>({
    clock,
    onDue: (member) => {
      served.push([member, clock.monotonic()]);
      onDue(member);
    },
  });
  return { clock, queue, served, timers: () => timers, timersSet: () => timersSet };
}

describe("a queue of things that are due", () => {
  test("serves each at its time, whatever the order in which they were added", async () => {
    const { clock, queue, served } = open();
    for (const delayMs of [500, 20, 1_000, 0, 300]) queue.add(`${delayMs}`, delayMs);
    await clock.advance(999);
    expect(served).toEqual([0, 20, 300, 500].map((at) => [`${at}`, at]));
    await clock.advance(1);
    expect(served.at(-1)).toEqual(["1000", 1_000]);
  });

  test("serves those of equal times in the order in which they were added", async () => {
    const { clock, queue, served } = open();
    const names = Array.from({ length: 100 }, (_, n) => `${n}`);
    for (const name of names) queue.add(name, 10);
    await clock.advance(10);
    expect(served.map(([member]) => member)).toEqual(names);
  });

  test("treats a negative delay as none", async () => {
    const { clock, queue, served } = open();
    await clock.advance(50);
    queue.add("late", -10);
    queue.add("now", 0);
    await clock.advance(0);
    expect(served).toEqual([
      ["late", 50],
      ["now", 50],
    ]);
  });

  test("serves the right ones after removals at any place, with random times", async () => {
    const random = createRandom(7);
    const { clock, queue, served } = open();
    const kept: { readonly name: string; readonly dueAt: number }[] = [];
    const entries: { readonly entry: Due<string>; readonly name: string; readonly dueAt: number }[] = [];
    for (let n = 0; n < 2_000; n++) {
      const dueAt = Math.floor(random() * 200);
      entries.push({ entry: queue.add(`${n}`, dueAt), name: `${n}`, dueAt });
    }
    for (const { entry, ...rest } of entries) {
      if (random() < 0.5) queue.remove(entry);
      else kept.push(rest);
    }
    await clock.advance(1_000);
    const expected = kept.toSorted((a, b) => a.dueAt - b.dueAt || Number(a.name) - Number(b.name));
    expect(served.map(([member]) => member)).toEqual(expected.map(({ name }) => name));
  });

  test("does not serve one that another removes when both are due", async () => {
    const { clock, queue, served } = open((member) => {
      if (member === "first") queue.remove(second);
    });
    queue.add("first", 10);
    const second = queue.add("second", 10);
    await clock.advance(20);
    expect(served.map(([member]) => member)).toEqual(["first"]);
  });

  test("ignores the removal of one that was served or removed", async () => {
    const { clock, queue, served } = open();
    const entry = queue.add("a", 1);
    const removed = queue.add("b", 2);
    queue.add("c", 3);
    queue.remove(removed);
    queue.remove(removed);
    await clock.advance(1);
    queue.remove(entry);
    await clock.advance(5);
    expect(served.map(([member]) => member)).toEqual(["a", "c"]);
  });

  test("serves what is added while it serves, not before its time", async () => {
    const { clock, queue, served } = open((member) => {
      if (member === "a") queue.add("again", 0);
      if (member === "again") queue.add("later", 5);
    });
    queue.add("a", 10);
    await clock.advance(100);
    expect(served).toEqual([
      ["a", 10],
      ["again", 10],
      ["later", 15],
    ]);
  });

  test("serves the others although one throws", async () => {
    const { clock, queue, served } = open((member) => {
      if (member === "bad") throw new Error("bad");
    });
    for (const member of ["a", "bad", "b"]) queue.add(member, 10);
    expect(await clock.advance(10).catch(({ message }) => message)).toBe("bad");
    await clock.advance(10);
    expect(served.map(([member]) => member)).toEqual(["a", "bad", "b"]);
  });

  test("is not affected by changes of the wall clock", async () => {
    const { clock, queue, served } = open();
    queue.add("a", 1_000);
    clock.set(HOUR_MS);
    await clock.advance(500);
    clock.set(-2 * HOUR_MS);
    await clock.advance(499);
    expect(served).toEqual([]);
    await clock.advance(1);
    expect(served).toEqual([["a", 1_000]]);
  });

  test("serves all that became due while the process was suspended", async () => {
    const { clock, queue, served } = open();
    for (const delayMs of [30_000, 10_000, 20_000, 90_000]) queue.add(`${delayMs}`, delayMs);
    await clock.stall(60_000);
    expect(served).toEqual(["10000", "20000", "30000"].map((member) => [member, 60_000]));
  });

  test("keeps delays of more than 24.8 days", async () => {
    const { clock, queue, served } = open();
    queue.add("years", 1_000 * DAY_MS);
    queue.add("month", 30 * DAY_MS);
    await clock.advance(30 * DAY_MS - 1);
    expect(served).toEqual([]);
    await clock.advance(970 * DAY_MS + 1);
    expect(served).toEqual([
      ["month", 30 * DAY_MS],
      ["years", 1_000 * DAY_MS],
    ]);
  });

  test("keeps such delays with the clock of the machine, whose timers are shorter", async () => {
    const served: string[] = [];
    const all = Promise.withResolvers<void>();
    const queue = createDueQueue<string>({
      clock: systemClock,
      onDue: (member) => {
        served.push(member);
        if (member === "soon") all.resolve();
      },
    });
    const far = queue.add("in a month", 30 * DAY_MS);
    await settled();
    queue.add("soon", 5);
    await all.promise;
    queue.remove(far);
    expect(served).toEqual(["soon"]);
  });

  test("has one timer for all, and none when it is empty", async () => {
    const { clock, queue, timers, timersSet } = open();
    const entries = Array.from({ length: 1_000 }, (_, n) => queue.add(`${n}`, 1_000 + n));
    expect([timers(), timersSet()]).toEqual([1, 1]);
    for (const entry of entries.slice(1)) queue.remove(entry);
    expect(timers()).toBe(1);
    for (const entry of entries.slice(0, 1)) queue.remove(entry);
    expect(timers()).toBe(0);
    queue.add("last", 10);
    await clock.advance(10);
    expect(timers()).toBe(0);
  });

  test("returns to the event loop when many are due at once", async () => {
    const served: number[] = []; // the number of timers that were set before each
    const { clock, queue, timersSet } = open(() => void served.push(timersSet()));
    for (let n = 0; n < 1_000; n++) queue.add(`${n}`, 10);
    await clock.advance(10);
    expect(served).toHaveLength(1_000);
    expect(new Set(served).size).toBe(Math.ceil(1_000 / 128));
  });
});
