import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseExactly } from "./exact-json.ts";

test.each([
  '{"id":3889108265204450030}',
  '{"a":[1,-0.0,1.0],"b":{"x":1e999}}',
  "[12345678901234567890,0.1,0.10]",
  "[-0]",
  '[ 1E5 ,{"n": -12.50 }]'.replaceAll(" ", ""),
  "1.0",
  '{"created_at":"2026-01-31T12:00:00.000Z","n":7,"s":"1.0,2.0"}',
])("%s is printed as it was read", (text) => {
  expect(JSON.stringify(parseExactly(text))).toBe(text);
});

test("a number that JavaScript prints unchanged is parsed as a number", () => {
  expect(parseExactly('{"a":[0,-7,0.5,1e+21],"b":1.0}')).toMatchObject({ a: [0, -7, 0.5, 1e21] });
});

test("any other value is parsed as JSON.parse does", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value);
      expect(parseExactly(text)).toEqual(JSON.parse(text));
      expect(JSON.stringify(parseExactly(text))).toBe(text);
    }),
  );
});
