import { expect, test } from "bun:test";
import { createTestLog } from "../../test/support/engine.ts";
import { createTypeFilter, nameOfSet, wakeUpsFor } from "./wake-ups.ts";

test("a commit sends one wake-up for each due task, and at most a hundred for a type", () => {
  expect(wakeUpsFor([])).toEqual([]);
  expect(wakeUpsFor(["a", "b", "a"])).toEqual(["a", "b", "a"]);
  const many = [...Array.from({ length: 150 }, () => "a"), "b"];
  expect(wakeUpsFor(many).filter((type) => type === "a")).toHaveLength(100);
  expect(wakeUpsFor(many)).toContain("b");
});

test("a set of types has the same name in every process, and no other set has it", () => {
  expect(nameOfSet("bells", ["b", "a.*"])).toBe("bells:a.*,b");
  expect(nameOfSet("bells", ["a.*", "b"])).toBe("bells:a.*,b");
  const long = Array.from({ length: 40 }, (_, n) => `type.${n}`);
  expect(nameOfSet("bells", long)).toBe(nameOfSet("bells", long.toReversed()));
  expect(nameOfSet("bells", long)).not.toBe(nameOfSet("bells", [...long, "x"]));
  expect(nameOfSet("bells", long)).toHaveLength("bells:".length + 32);
});

test("a malformed wake-up is logged the first time, and then every thousandth time", () => {
  const log = createTestLog();
  const concerns = createTypeFilter(log);
  expect(["video.encode", "mail", "", "\u0000"].map((type) => concerns(["video.*"], type))).toEqual([
    true,
    false,
    false,
    false,
  ]);
  expect(log.events).toEqual(["malformed_bell"]);
  for (let n = 0; n < 1_000; n++) concerns(["*"], "");
  expect(log.events).toEqual(["malformed_bell", "malformed_bell"]);
  expect(log.logged.at(-1)?.fields).toMatchObject({ count: 1_001 });
});
