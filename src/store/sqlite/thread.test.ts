import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { createManualClock } from "../../../test/support/clock.ts";
import { isTaskError } from "../../core/error.ts";
import { startThread, type ThreadSetup } from "./thread.ts";

const entryOf = (name: string): string =>
  join(import.meta.dir, "../../../test/support/threads", `${name}.ts`);

function start(entry: string, more: Partial<ThreadSetup> = {}) {
  const clock = createManualClock();
  const deaths: string[] = [];
  const thread = startThread({
    clock,
    onCommit: () => undefined,
    onComplaint: () => undefined,
    onDeath: (reason) => deaths.push(reason),
    entry: entryOf(entry),
    ...more,
  });
  return { thread, clock, deaths };
}

const isUnavailable = (error: unknown): boolean => isTaskError(error, "store_unavailable");

describe("the thread of a file", () => {
  test("that dies rejects waiting and later calls, and gives the reason", async () => {
    const { thread, deaths } = start("dying");
    expect(thread.fault()).toBeNull();
    const waiting = [thread.call("get", [1]), thread.call("cleanUp", 0)].map((call) =>
      call.then(() => false, isUnavailable),
    );
    expect(await Promise.all(waiting)).toEqual([true, true]);
    expect(await thread.call("get", [1]).then(() => false, isUnavailable)).toBe(true);
    expect(thread.fault()).toContain("the test ended this thread");
    expect(deaths.length).toBe(1);
  });

  test("whose code cannot be loaded rejects calls", async () => {
    const { thread } = start("nowhere");
    expect(await thread.call("get", [1]).then(() => false, isUnavailable)).toBe(true);
  });

  test("that does not answer for five seconds reports a fault", async () => {
    const { thread, clock } = start("silent");
    const waiting = thread.call("get", [1]).then(() => false, isUnavailable);
    await clock.advance(5_000);
    expect(thread.fault()).toBeNull();
    await clock.advance(1);
    expect(thread.fault()).toBe("The disk has not answered for 5 seconds");
    thread.stop();
    expect(await waiting).toBe(true);
  });

  test("that was stopped does not count as dead", async () => {
    const { thread, deaths } = start("silent");
    thread.stop();
    thread.stop();
    expect(await thread.call("get", [1]).then(() => false, isUnavailable)).toBe(true);
    expect(deaths).toEqual([]);
  });
});
