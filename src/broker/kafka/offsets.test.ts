import { expect, test } from "bun:test";
import { createOffsets } from "./offsets.ts";

test("a partition is committed up to the first message that is under way", () => {
  const offsets = createOffsets();
  for (const offset of [5n, 6n, 7n, 9n]) offsets.begin(0, offset);
  offsets.end(0, 6n);
  expect(offsets.take()).toEqual([{ partition: 0, offset: 5n }]);
  offsets.end(0, 5n);
  expect(offsets.take()).toEqual([{ partition: 0, offset: 7n }]);
  offsets.end(0, 9n);
  offsets.end(0, 7n);
  expect(offsets.take()).toEqual([{ partition: 0, offset: 10n }]);
});

test("each partition is committed by itself, and only after a message has ended", () => {
  const offsets = createOffsets();
  offsets.begin(0, 1n);
  offsets.begin(1, 1n);
  offsets.end(1, 1n);
  expect(offsets.take()).toEqual([{ partition: 1, offset: 2n }]);
  expect(offsets.take()).toEqual([]);
});

test("a message that never ends keeps its partition from being committed beyond it", () => {
  const offsets = createOffsets();
  for (let offset = 0n; offset < 100n; offset++) offsets.begin(0, offset);
  for (let offset = 1n; offset < 100n; offset++) offsets.end(0, offset);
  expect(offsets.take()).toEqual([{ partition: 0, offset: 0n }]);
});
