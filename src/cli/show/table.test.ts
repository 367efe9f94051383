import { describe, expect, test } from "bun:test";
import { type Column, layOut, rowLine, titleLine } from "./table.ts";
import { widthOf } from "./text.ts";

const COLUMNS: readonly Column[] = [
  { title: "ID", align: "right" },
  { title: "NAME", least: 4 },
  { title: "AGE", goes: 1 },
  { title: "NOTE", least: 4, goes: 2 },
];
const ROWS = [
  ["1", "short", "3s", "nothing to say"],
  ["12345", "a rather long name 日本", "10m", ""],
].map((row) => row.map((text) => ({ text })));

const drawn = (width: number): string[] => {
  const layout = layOut(COLUMNS, ROWS, width);
  return [titleLine(layout), ...ROWS.map((row) => rowLine(layout, row))];
};

describe("a table", () => {
  test("is as wide as its content if there is room", () => {
    expect(drawn(Number.POSITIVE_INFINITY)).toEqual([
      "   ID  NAME                     AGE  NOTE",
      "    1  short                    3s   nothing to say",
      "12345  a rather long name 日本  10m",
    ]);
  });

  test("columns that may shrink do so, the widest first", () => {
    expect(drawn(38)).toEqual([
      "   ID  NAME          AGE  NOTE",
      "    1  short         3s   nothing to …",
      "12345  a rather lo…  10m",
    ]);
  });

  test("columns of low priority are left out if that is not enough", () => {
    expect(drawn(18)).toEqual(["   ID  NAME  NOTE", "    1  sho…  noth…", "12345  a r…"]);
    expect(drawn(12)).toEqual(["   ID  NAME", "    1  short", "12345  a ra…"]);
  });

  test.each([11, 12, 17, 18, 25, 40, 60])("no line is wider than %p columns", (width) => {
    for (const line of drawn(width)) expect(widthOf(line)).toBeLessThanOrEqual(width);
  });

  test("a column that may not shrink is never cut, even by later rows", () => {
    const layout = layOut(COLUMNS, ROWS, 40);
    expect(rowLine(layout, [{ text: "123456789" }, { text: "x" }])).toStartWith("123456789  x");
  });

  test("colour has no width, and covers the padding", () => {
    const layout = layOut([{ title: "A" }, { title: "B" }], [[{ text: "xyz" }, { text: "b" }]], 40);
    const red = (text: string): string => `\u001b[31m${text}\u001b[39m`;
    expect(rowLine(layout, [{ text: "x", paint: red }, { text: "b" }])).toBe(`${red("x  ")}  b`);
  });
});
