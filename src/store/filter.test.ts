import { expect, test } from "bun:test";
import { isCounted } from "./filter.ts";
import type { TaskFilter } from "./store.ts";

test("the counts by type and status are used for conditions on statuses and types only", () => {
  expect(isCounted({})).toBe(true);
  expect(isCounted({ statuses: ["done"], types: ["mail.*"] })).toBe(true);
  const others: readonly TaskFilter[] = [
    { tags: [] },
    { search: { words: [], fields: [] } },
    { finishedBefore: 0 },
    { expiredAt: 0 },
    { overlongAt: 0 },
  ];
  for (const other of others) expect(isCounted({ types: ["mail.*"], ...other })).toBe(false);
});

test("with a condition that the counts do not know, tasks are counted one by one", () => {
  const filter = { statuses: ["done"], color: "blue" } as TaskFilter; // as a later version may have it
  expect(isCounted(filter)).toBe(false);
});

test("a condition without a value is ignored", () => {
  const filter: Record<string, unknown> = { types: ["mail.*"], tags: undefined };
  expect(isCounted(filter)).toBe(true);
});
