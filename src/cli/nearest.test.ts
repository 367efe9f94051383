import { expect, test } from "bun:test";
import { editDistance, nearest } from "./nearest.ts";

test.each([
  ["", "", 0],
  ["list", "list", 0],
  ["lst", "list", 1],
  ["lists", "list", 1],
  ["lisp", "list", 1],
  ["lsit", "list", 1],
  ["watch", "cancel", 4],
  ["", "abc", 3],
])("from %p to %p there are %p steps", (from, to, steps) => {
  expect(editDistance(from, to)).toBe(steps);
  expect(editDistance(to, from)).toBe(steps);
});

test.each([
  ["ad", "add"],
  ["wacth", "watch"],
  ["canncel", "cancel"],
  ["zzz", null],
  ["x", null],
])("the most similar word to %p is %p", (word, meant) => {
  expect(nearest(word, ["add", "list", "watch", "cancel"])).toBe(meant);
});
