import { describe, expect, test } from "bun:test";
import { parseExactly } from "../../src/core/exact-json.ts";
import { inPieces, NumberAsWritten } from "./json-pieces.ts";

const widest = (value: unknown): number =>
  typeof value !== "object" || value === null
    ? 0
    : Math.max(Object.keys(value).length, ...Object.values(value).map(widest));

const leaves = (value: unknown): number =>
  typeof value !== "object" || value === null
    ? 1
    : Object.values(value).reduce<number>((sum, one) => sum + leaves(one), 0);

describe("JSON in pieces", () => {
  test("a small value is unchanged", () => {
    const value = { a: [1, "x", null], b: { c: true } };
    expect(inPieces(value)).toEqual(value);
  });

  test("a long list is split into groups labelled with their indexes", () => {
    const list = Array.from({ length: 250 }, (_, index) => index);
    expect(Object.keys(Object(inPieces(list)))).toEqual(["0 … 99", "100 … 199", "200 … 249"]);
    expect(inPieces(list)).toMatchObject({ "200 … 249": list.slice(200) });
  });

  test.each([101, 10_000, 10_001, 123_457])(
    "no level of %i entries is wide, and none is missing",
    (count) => {
      const object = Object.fromEntries(Array.from({ length: count }, (_, index) => [`key ${index}`, index]));
      for (const value of [object, Object.values(object)]) {
        expect(widest(inPieces(value))).toBeLessThanOrEqual(100);
        expect(leaves(inPieces(value))).toBe(count);
      }
    },
  );

  test("a long string is shortened and shows the number of hidden characters", () => {
    expect(inPieces("x".repeat(5_010))).toEndWith("x… (+10)");
  });

  test("a number that JavaScript prints differently keeps its text", () => {
    const texts = ["3889108265204450030", "1e999", "0.10", "-0"];
    const pieces = Object.values(Object(inPieces(parseExactly(`[${texts}]`))));
    expect(pieces.map((piece) => piece instanceof NumberAsWritten && piece.text)).toEqual(texts);
    expect(inPieces(parseExactly("[7,0.5,3889108265204450030]"))).toMatchObject([7, 0.5, {}]);
  });

  test("a key named __proto__ is an ordinary key", () => {
    const read: unknown = JSON.parse('{"__proto__":{"polluted":1}}');
    expect(JSON.stringify(inPieces(read))).toBe('{"__proto__":{"polluted":1}}');
  });
});
