import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { jsonTexts } from "../../test/support/json-texts.ts";
import {
  compacted,
  elementsOf,
  indented,
  memberOf,
  type Span,
  startOf,
  stringsOf,
  valueAt,
} from "./json-text.ts";

const cut = (text: string, span: Span | null): string | null =>
  span === null ? null : text.slice(span.start, span.end);
const member = (text: string, name: string): string | null => cut(text, memberOf(text, startOf(text), name));
const elements = (text: string): string[] =>
  elementsOf(text, startOf(text)).map((span) => text.slice(span.start, span.end));

describe("the member of an object", () => {
  test.each([
    ['{"a":3889108265204450030}', "3889108265204450030"],
    ['{"a":1e999}', "1e999"],
    ['{"a":-0.0}', "-0.0"],
    [' \t\r\n{ "a" : \n[1 , 2 ]\t, "b":{} } ', "[1 , 2 ]"],
    ['{"a":{"2":1,"1":2}}', '{"2":1,"1":2}'],
    ['{"a":"\\"}],{[\\\\"}', '"\\"}],{[\\\\"'],
    ['{"a":"\\\\","b":1}', '"\\\\"'],
    ['{"b":"\\"a\\":7","a":1}', "1"],
    ['{"b":{"a":2},"a":1}', "1"],
    ['{"b":["a",{"a":[]}],"a":null,"c":"}"}', "null"],
    ['{"a":1,"a":[2]}', "[2]"],
    ['{"a":1,"\\u0061":2}', "2"],
    ['{"\\u0061":1,"a":2}', "2"],
    ['{"a":true}', "true"],
    ['{"a":"é💩\\ud83d"}', '"é💩\\ud83d"'],
  ])("in %s is %s", (text, expected) => {
    expect(member(text, "a")).toBe(expected);
  });

  test.each([
    "{}",
    "[]",
    '["a",1]',
    '"a"',
    "7",
    "null",
    '{"aa":1}',
    '{"A":1}',
    '{"b":{"a":1}}',
    '{"\\\\u0061":1}',
  ])("is not in %s", (text) => {
    expect(member(text, "a")).toBeNull();
  });

  test("may have any name", () => {
    expect(member('{"__proto__":1,"":2,"\\"":3}', "__proto__")).toBe("1");
    expect(member('{"__proto__":1,"":2,"\\"":3}', "")).toBe("2");
    expect(member('{"__proto__":1,"":2,"\\"":3}', '"')).toBe("3");
  });
});

test.each([
  ["[]", []],
  ["[ ]", []],
  ['[1,"a,]",[2,[3]], {"x":[]} ,null]', ["1", '"a,]"', "[2,[3]]", '{"x":[]}', "null"]],
  ["{}", []],
  ["7", []],
])("the elements of %s", (text, expected) => {
  expect(elements(text)).toEqual(expected);
});

test.each([
  [[], '{"a":[{"b": 1.0}],"1":2}'],
  [["a", "0", "b"], "1.0"],
  [["1"], "2"],
  [["a", "1"], null],
  [["a", "00"], null],
  [["a", "length"], null],
  [["b"], null],
])("at %j of a document", (path, expected) => {
  expect(valueAt('{"a":[{"b": 1.0}],"1":2}', path)).toBe(expected);
});

test.each([
  ["null", []],
  ['"a"', ["a"]],
  ['{"a":"b","c" : {"d":["e",1,"f\\"\\\\"]},"":"\\u00e9"}', ["b", "e", 'f"\\', "é"]],
  ['[["x"],"y:",{"z":{}}]', ["x", "y:"]],
])("the strings of %s", (text, expected) => {
  expect([...stringsOf(text)]).toEqual(expected);
});

test("the strings of any document are the strings that JSON.parse finds in it", () => {
  const stringsIn = (value: unknown): string[] => {
    if (typeof value === "string") return [value];
    return typeof value === "object" && value !== null ? Object.values(value).flatMap(stringsIn) : [];
  };
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect([...stringsOf(text)].toSorted()).toEqual(stringsIn(JSON.parse(text)).toSorted());
    }),
    { numRuns: 2_000 },
  );
});

test("every part of any document is found, and its text has the value that JSON.parse finds there", () => {
  const agrees = (text: string, span: Span, value: unknown): void => {
    const written = text.slice(span.start, span.end);
    expect(written).toBe(written.trim());
    expect(JSON.parse(written)).toEqual(value);
    if (Array.isArray(value)) {
      const spans = elementsOf(text, span.start);
      expect(spans).toHaveLength(value.length);
      for (const [at, element] of spans.entries()) agrees(text, element, value[at]);
    } else if (typeof value === "object" && value !== null) {
      for (const [name, of] of Object.entries(value)) {
        const found = memberOf(text, span.start, name);
        expect(found).not.toBeNull();
        if (found !== null) agrees(text, found, of);
      }
    }
  };
  fc.assert(
    fc.property(jsonTexts, (document) => {
      const text = ` ${document}\n`;
      agrees(text, { start: startOf(text), end: text.trimEnd().length }, JSON.parse(text));
    }),
    { numRuns: 3_000 },
  );
});

/** The document's tokens as they are written. */
const tokensOf = (text: string): readonly string[] =>
  text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g) ?? [];

describe("a document that is printed again", () => {
  test.each([
    [
      '{"id":3889108265204450030,"10":1e999,"2":-0}',
      '{\n  "id": 3889108265204450030,\n  "10": 1e999,\n  "2": -0\n}',
    ],
    ['[ {} , [\n],{"a":[ 1.0 ]} ]', '[\n  {},\n  [],\n  {\n    "a": [\n      1.0\n    ]\n  }\n]'],
    ['{"a":1,"a":2}', '{\n  "a": 1,\n  "a": 2\n}'],
    [' "\\u0041: {} , [\\"" ', '"\\u0041: {} , [\\""'],
    [" 1.50\n", "1.50"],
  ])("%s is indented", (text, expected) => {
    expect(indented(text)).toBe(expected);
  });

  test("has the same tokens in the same order, for any document", () => {
    fc.assert(
      fc.property(jsonTexts, (document) => {
        const text = ` ${document}\n`;
        for (const again of [indented(text), compacted(text)])
          expect(tokensOf(again)).toEqual(tokensOf(text));
        expect(compacted(text)).toBe(tokensOf(text).join(""));
        expect(compacted(indented(text))).toBe(compacted(text));
        expect(indented(compacted(text))).toBe(indented(text));
      }),
      { numRuns: 3_000 },
    );
  });

  test("looks as JSON.stringify prints a value", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(indented(JSON.stringify(value))).toBe(JSON.stringify(value, null, 2));
        expect(compacted(JSON.stringify(value, null, 2))).toBe(JSON.stringify(value));
      }),
    );
  });
});
