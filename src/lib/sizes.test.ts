import { expect, test } from "bun:test";
import { inSizes } from "./sizes.ts";

const parts = (sizes: readonly number[]): number[][] => inSizes(sizes, 10, (size) => size);

test("a list is parted in its order, and no part is too large but one of a single item", () => {
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
