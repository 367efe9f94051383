import { expect, test } from "bun:test";
import { inSizes } from "./sizes.ts";

const parts = (sizes: readonly number[]): number[][] => inSizes(sizes, 10, (size) => size);

test("a list is divided in its order, and only a piece of a single item may be too large", () => {
  expect(parts([])).toEqual([]);
  expect(parts([3, 3, 3, 3, 10, 1, 25, 25, 9, 1, 1])).toEqual([
    [3, 3, 3],
    [3],
    [10],
    [1],
    [25],
    [25],
    [9, 1],
    [1],
  ]);
});
