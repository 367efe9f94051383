import { expect, test } from "bun:test";
import { createTestLog } from "../../test/support/engine.ts";
import { bellsFor, createBellFilter, nameOfSet } from "./wake-ups.ts";

test("a commit rings as often as there are tasks of a type, up to a hundred times", () => {
  expect(bellsFor([])).toEqual([]);
  expect(bellsFor(["a", "b", "a"])).toEqual(["a", "b", "a"]);
  const many = [...Array.from({ length: 150 }, () => "a"), "b"];
  expect(bellsFor(many).filter((type) => type === "a")).toHaveLength(100);
  expect(bellsFor(many)).toContain("b");
});

test("a set of types has one name in every process, which no other set has", () => {
  expect(nameOfSet("bells", ["b", "a.*"])).toBe("bells:a.*,b");
  expect(nameOfSet("bells", ["a.*", "b"])).toBe("bells:a.*,b");
  const long = Array.from({ length: 40 }, (_, n) => `type.${n}`);
  expect(nameOfSet("bells", long)).toBe(nameOfSet("bells", long.toReversed()));
  expect(nameOfSet("bells", long)).not.toBe(nameOfSet("bells", [...long, "x"]));
  expect(nameOfSet("bells", long)).toHaveLength("bells:".length + 32);
});

test("what is no bell is told of once, and then every thousandth time", () => {
  const log = createTestLog();
  const concerns = createBellFilter(log);
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
