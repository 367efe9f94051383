import { describe, expect, test } from "bun:test";
import { createLines, type Line } from "./lines.ts";

/** The lines of these bytes, which come in pieces of this size. */
function linesOf(bytes: Uint8Array, piece = bytes.length, kept = 100): Line[] {
  const read: Line[] = [];
  const lines = createLines({ bytesKept: () => kept, onLine: (line) => read.push(line) });
  for (let at = 0; at < bytes.length; at += piece) lines.feed(bytes.subarray(at, at + piece));
  lines.end();
  return read;
}
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const textsOf = (text: string, piece?: number): string[] =>
  linesOf(bytes(text), piece).map((line) => line.text);

describe("bytes become lines", () => {
  test.each([
    ["one\ntwo\n", ["one", "two"]],
    ["one\r\ntwo\r\n", ["one", "two"]],
    ["10%\r20%\r30%\n", ["10%", "20%", "30%"]],
    ["no end", ["no end"]],
    ["\n\n \n\tindented  \n\n", ["\tindented"]],
    ["", []],
  ])("%j as %j", (text, lines) => {
    expect(textsOf(text)).toEqual(lines);
  });

  test.each([1, 2, 3, 5, 7])("that are complete, although the bytes come in pieces of %d", (piece) => {
    const text = "zwölf Boxkämpfer\n終わり 🏁🏁\r\nça va";
    expect(textsOf(text, piece)).toEqual(["zwölf Boxkämpfer", "終わり 🏁🏁", "ça va"]);
  });

  test("with a replacement character for invalid bytes", () => {
    expect(linesOf(Uint8Array.of(0x61, 0xff, 0xfe, 0x62, 0x0a, 0xc3))).toEqual([
      { text: "a\uFFFD\uFFFDb", isCut: false },
      { text: "\uFFFD", isCut: false },
    ]);
  });

  test.each([1, 3, 1_000])("which are cut at the limit, with pieces of %d bytes", (piece) => {
    expect(linesOf(bytes(`${"x".repeat(101)}\n${"y".repeat(100)}\nz`), piece)).toEqual([
      { text: "x".repeat(100), isCut: true },
      { text: "y".repeat(100), isCut: false },
      { text: "z", isCut: false },
    ]);
  });
});
