import { expect, test } from "bun:test";
import { z } from "zod";
import { listOf, membersOf } from "./list-schema.ts";

/** An element that counts how often elements were examined. */
function counting() {
  let looks = 0;
  const element = z.unknown().transform((value) => {
    looks++;
    return value;
  });
  return { element, looks: (): number => looks };
}

const faultOf = (schema: z.ZodType, value: unknown): string | undefined =>
  schema.safeParse(value).error?.issues[0]?.message;

test("no element of a list that is too long is examined", () => {
  const { element, looks } = counting();
  const list = listOf(element, { most: 3, mostWords: "must be at most 3" });
  expect(faultOf(list, Array(500_000).fill("a"))).toBe("must be at most 3");
  expect(looks()).toBe(0);
  expect(list.parse(["a", "b", "c"])).toEqual(["a", "b", "c"]);
  expect(looks()).toBe(3);
});

test("a list may have a minimum length", () => {
  const list = listOf(z.string(), { most: 3, mostWords: "most", least: 1, leastWords: "least" });
  expect(faultOf(list, [])).toBe("least");
  expect(faultOf(list, "a")).toContain("expected array");
  expect(list.parse(["a"])).toEqual(["a"]);
});

test("equal members of a filter count once, and only a limited number is examined", () => {
  const { element, looks } = counting();
  const members = membersOf(element, "types", 5);
  expect(members.parse(["a", "b", "a", "a", "c", "b"])).toEqual(["a", "b", "c"]);
  expect(faultOf(members, ["a", "b", "c", "d", "e", "f"])).toBe("must be at most 5 different types");
  const before = looks();
  expect(faultOf(members, Array(500_000).fill("a"))).toBe("must be at most 5 different types");
  expect(looks()).toBe(before);
});
