import { expect, test } from "bun:test";
import { isCountedByCensus } from "./census.ts";
import type { TaskFilter } from "./store.ts";

test("statuses and types are counted by the census, and with no other member of a filter", () => {
  expect(isCountedByCensus({})).toBe(true);
  expect(isCountedByCensus({ statuses: ["done"], types: ["mail.*"] })).toBe(true);
  const others: readonly TaskFilter[] = [
    { tags: [] },
    { search: { words: [], fields: [] } },
    { finishedBefore: 0 },
    { expiredAt: 0 },
    { overlongAt: 0 },
  ];
  for (const other of others) expect(isCountedByCensus({ types: ["mail.*"], ...other })).toBe(false);
});

test("a member of a filter that the census has never heard of is counted task by task", () => {
  const filter = { statuses: ["done"], color: "blue" } as TaskFilter; // as a later version may have it
  expect(isCountedByCensus(filter)).toBe(false);
});

test("a member without a value asks for nothing", () => {
  const filter: Record<string, unknown> = { types: ["mail.*"], tags: undefined };
  expect(isCountedByCensus(filter)).toBe(true);
});
