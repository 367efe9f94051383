import { describe, expect, test } from "bun:test";
import { cutTo, harmless, harmlessJson, harmlessLines, padLeftTo, padTo, widthOf } from "./text.ts";

/** Text that must not reach a terminal if it comes from another user. */
const COMMANDING = /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;

describe("unsafe text", () => {
  test.each([
    ["plain", "plain"],
    ["日本 שלום é 👨‍👩‍👧", "日本 שלום é 👨‍👩‍👧"],
    ["two\nlines\r\tand a tab", "two\\nlines\\r\\tand a tab"],
    ["\u001b[31mred\u001b]0;title\u0007", "\\x1b[31mred\\x1b]0;title\\x07"],
    ["\u009b31m\u007f\u0085", "\\x9b31m\\x7f\\x85"],
    ["\u202egnp.exe", "\\u202egnp.exe"],
    ["a\u2028b\u2069", "a\\u2028b\\u2069"],
  ])("%j is shown as %j", (text, shown) => {
    expect(harmless(text)).toBe(shown);
  });

  test("no control character of the basic plane is left", () => {
    for (let code = 0; code <= 0xffff; code++) {
      expect(COMMANDING.test(harmless(String.fromCharCode(code)))).toBe(false);
    }
  });

  test("JSON keeps its value, without control characters", () => {
    const value = { name: "\u001b[31m \u007f\u009b \u202e\u2028 日本" };
    const json = harmlessJson(JSON.stringify(value));
    expect(JSON.parse(json)).toEqual(value);
    expect(COMMANDING.test(json)).toBe(false);
  });

  test("several lines may stay separate lines", () => {
    expect(harmlessLines("a\r\nb\u001b\n")).toEqual(["a", "b\\x1b", ""]);
  });
});

describe("width", () => {
  const FAMILY = "👨‍👩‍👧";
  test.each([
    ["abcdef", 6, "abcdef"],
    ["abcdef", 5, "abcd…"],
    ["abcdef", 1, "…"],
    ["abcdef", 0, ""],
    ["日本語", 6, "日本語"],
    ["日本語", 5, "日本…"],
    ["日本語", 4, "日…"], // a wide character does not fit in half
    [`${FAMILY}${FAMILY}`, 3, `${FAMILY}…`],
    [`${FAMILY}${FAMILY}`, 2, "…"],
    ["e\u0301e\u0301e\u0301", 3, "e\u0301e\u0301e\u0301"],
    ["e\u0301e\u0301e\u0301", 2, "e\u0301…"],
    ["שלום עולם", 5, "שלום…"],
    ["🇩🇪🇫🇷x", 3, "🇩🇪…"],
  ])("%j in %p columns is %j", (text, width, cut) => {
    expect(cutTo(text, width)).toBe(cut);
    expect(widthOf(cut)).toBeLessThanOrEqual(width);
  });

  test("a cut ends the colours of the text", () => {
    expect(cutTo("\u001b[31mabcdef\u001b[39m", 3)).toBe("\u001b[31mab…\u001b[39m");
  });

  test("padding counts columns", () => {
    expect([padTo("日本", 6), padLeftTo("日本", 6), padTo("abc", 2)]).toEqual(["日本  ", "  日本", "abc"]);
  });
});
