import { expect, test } from "bun:test";
import fc from "fast-check";
import { createPages } from "./pages.ts";

/** Keys that fill a few pages, keys at the edges of pages, and keys that are far away. */
const key = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 1_500 }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 8 }).map((page) => page * 256) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 8 }).map((page) => page * 256 - 1) },
  { weight: 1, arbitrary: fc.constantFrom(2 ** 31, 2 ** 32 + 1, 1e15, Number.MAX_SAFE_INTEGER) },
);

const step = fc.record({ set: fc.boolean(), key, row: fc.nat() });

test("pages agree with a map under any mix of sets and deletes", () => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 2_000, size: "max" }),
      fc.nat({ max: 2_100 }),
      key,
      (steps, ...probes) => {
        const pages = createPages<{ key: number; row: number }>();
        const model = new Map<number, { key: number; row: number }>();
        for (const { set, key, row } of steps) {
          if (set) {
            pages.set(key, { key, row });
            model.set(key, { key, row });
          } else {
            expect(pages.delete(key)).toBe(model.delete(key));
          }
          expect(pages.get(key)).toEqual(model.get(key));
        }
        const rows = [...model.values()].sort((a, b) => a.key - b.key);
        expect(pages.size).toBe(rows.length);
        expect([...pages.after(null)]).toEqual(rows);
        expect([...pages.before(null)]).toEqual(rows.toReversed());
        for (const probe of probes) {
          expect(pages.get(probe)).toEqual(model.get(probe));
          expect([...pages.after(probe)]).toEqual(rows.filter((row) => row.key > probe));
          expect([...pages.before(probe)]).toEqual(rows.filter((row) => row.key < probe).toReversed());
        }
      },
    ),
    { numRuns: 60 },
  );
});

test("a key that was deleted is free for another row", () => {
  const pages = createPages<string>();
  pages.set(256, "first");
  expect(pages.delete(256)).toBe(true);
  expect(pages.delete(256)).toBe(false);
  expect([pages.size, pages.get(256), ...pages.after(null)]).toEqual([0, undefined]);
  pages.set(256, "second");
  expect([pages.size, pages.get(256), ...pages.before(null)]).toEqual([1, "second", "second"]);
});

test("rows that are read one by one read no more of the table than requested", () => {
  const pages = createPages<number>();
  for (let key = 1; key <= 1_000; key++) pages.set(key, key);
  const rows = pages.after(299);
  expect([rows.next().value, rows.next().value]).toEqual([300, 301]);
  pages.delete(1_000);
  expect([...rows].at(-1)).toBe(999);
});

test("a table without rows has nothing to read in either direction", () => {
  const pages = createPages<number>();
  expect([pages.size, pages.get(1), pages.delete(1)]).toEqual([0, undefined, false]);
  expect([...pages.after(null), ...pages.after(7), ...pages.before(null), ...pages.before(7)]).toEqual([]);
});
