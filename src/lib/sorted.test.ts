import { expect, test } from "bun:test";
import fc from "fast-check";
import { createSorted } from "./sorted.ts";

test("a sorted collection agrees with a sorted array under any mix of adds and removes", () => {
  const step = fc.record({ add: fc.boolean(), value: fc.integer({ min: 0, max: 3_000 }) });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 3_000, size: "max" }),
      fc.integer({ min: 0, max: 3_000 }),
      (steps, probe) => {
        const sorted = createSorted<number>((a, b) => a - b);
        const model = new Set<number>();
        for (const { add, value } of steps) {
          if (add && !model.has(value)) {
            sorted.add(value);
            model.add(value);
          } else if (!add) {
            expect(sorted.remove(value)).toBe(model.delete(value));
          }
        }
        const expected = [...model].sort((a, b) => a - b);
        expect(sorted.size).toBe(expected.length);
        expect([...sorted.from(null)]).toEqual(expected);
        expect([...sorted.from(probe)]).toEqual(expected.filter((value) => value >= probe));
        expect([...sorted.backFrom(null)]).toEqual(expected.toReversed());
        expect([...sorted.backFrom(probe)]).toEqual(expected.filter((value) => value <= probe).toReversed());
        expect(sorted.first()).toBe(expected[0]);
        expect(sorted.last()).toBe(expected.at(-1));
      },
    ),
    { numRuns: 60 },
  );
});
