import { describe, expect, test } from "bun:test";
import { settled } from "../../test/support/clock.ts";
import { createTurns } from "./turns.ts";

class Away extends Error {}

/** Calls that the test ends; `started` lists the started ones in order. */
function open() {
  const turns = createTurns<string>({ failsAll: (error) => error instanceof Away });
  const started: string[] = [];
  const ends = new Map<string, PromiseWithResolvers<string>>();
  const take = (key: string, name: string): Promise<string> =>
    turns.take(key, () => {
      started.push(name);
      const end = Promise.withResolvers<string>();
      ends.set(name, end);
      return end.promise;
    });
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.resolve(name);
    await settled();
  };
  const fail = async (name: string, error: Error): Promise<void> => {
    ends.get(name)?.reject(error);
    await settled();
  };
  return { turns, take, started, end, fail };
}

describe("calls with one key", () => {
  test("run one after another in their order", async () => {
    const { take, started, end, turns } = open();
    const answers = Promise.all([take("k", "a"), take("k", "b"), take("k", "c")]);
    expect(started).toEqual(["a"]);
    expect(turns.waiting).toBe(2);
    await end("a");
    expect(started).toEqual(["a", "b"]);
    await end("b");
    await end("c");
    expect(await answers).toEqual(["a", "b", "c"]);
    expect(turns.waiting).toBe(0);
  });

  test("do not wait for calls with another key", async () => {
    const { take, started } = open();
    void take("k", "a");
    void take("l", "b");
    expect(started).toEqual(["a", "b"]);
  });

  test("start at once when the earlier ones have ended", async () => {
    const { take, started, end } = open();
    void take("k", "a");
    await end("a");
    void take("k", "b");
    expect(started).toEqual(["a", "b"]);
  });

  test("continue after one that failed", async () => {
    const { take, started, fail, end } = open();
    const first = take("k", "a").catch(String);
    const second = take("k", "b");
    await fail("a", new Error("broken"));
    expect(await first).toBe("Error: broken");
    expect(started).toEqual(["a", "b"]);
    await end("b");
    expect(await second).toBe("b");
  });

  test("fail together if `failsAll` says so for the error; later calls are tried", async () => {
    const { take, started, fail, turns } = open();
    const calls = Promise.allSettled([take("k", "a"), take("k", "b"), take("k", "c")]);
    void take("l", "d");
    await fail("a", new Away("away"));
    expect((await calls).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(started).toEqual(["a", "d"]);
    expect(turns.waiting).toBe(0);
    void take("k", "e");
    expect(started).toEqual(["a", "d", "e"]);
  });
});
