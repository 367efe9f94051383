import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fold, matchesSearch, parseSearch, searchFault, searchText } from "./search.ts";

const PAYLOAD = {
  user: { name: "Зо\u0301я Пушкина", id: 42, admin: true, nick: null },
  sizes: [640, 480.5, 1e21],
  tags: ["Straße", "ΟΔΥΣΣΕΥΣ"],
  "a.b": "dotted",
  Case: "Sensitive Key",
  empty: "",
  "": "no name",
};

const TASK = {
  name: "Resize the Café's pictures",
  description: "two\nlines, 100 % sure",
  payload: JSON.stringify(PAYLOAD),
};

const finds = (
  query: string,
  task: typeof TASK | { payload: null; name: string; description: string } = TASK,
) => matchesSearch(task, parseSearch(query));

describe("a query is read as words and fields", () => {
  test.each([
    ["", [], []],
    ["  \t\n ", [], []],
    ["Two  Words", ["two", "words"], []],
    ["a\u00a0b\u3000c", ["a", "b", "c"], []],
    ["payload.a:X", [], [{ path: ["a"], text: "x" }]],
    ["payload.a.b.c:X y", ["y"], [{ path: ["a", "b", "c"], text: "x" }]],
    ["payload.Case:X", [], [{ path: ["Case"], text: "x" }]],
    ["payload.url:http://x:1", [], [{ path: ["url"], text: "http://x:1" }]],
    ["payload.a:", ["payload.a:"], []],
    ["payload.:x", ["payload.:x"], []],
    ["payload:x", ["payload:x"], []],
    ["name:x", ["name:x"], []],
    ["PAYLOAD.a:x", ["payload.a:x"], []],
  ])("%j", (query, words, fields) => {
    expect(parseSearch(query)).toEqual({ words, fields });
  });
});

describe("a word is found", () => {
  test.each([
    ["an empty query takes every task", ""],
    ["in the name", "resize"],
    ["in the middle of a word", "esiz"],
    ["in the description, within a line", "lines,"],
    ["in a string of the payload", "dotted"],
    ["in a string deep in the payload", "sensitive"],
    ["in upper or lower case", "RESIZE"],
    ["in Cyrillic, in upper or lower case", "ПУШКИНА"],
    ["in Greek with a final sigma", "οδυσσευς"],
    ["in Greek capitals", "ΟΔΥΣΣΕΥΣ"],
    ["in Greek with a plain sigma at its end", "οδυσσευσ"],
    ["with ß written as ss", "STRASSE"],
    ["with ß as it is", "straße"],
    ["with a decomposed letter", "cafe\u0301"],
    ["with a composed letter", "CAFÉ"],
    ["in full-width letters", "ｒｅｓｉｚｅ"],
    ["together with another word", "two resize"],
    ["with digits", "100"],
  ])("%s", (_claim, query) => {
    expect(finds(query)).toBe(true);
  });

  test.each([
    ["when one of the words is missing", "resize missing"],
    ["across two words", "resizethe"],
    ["across name and description", "picturestwo"],
    ["in a number of the payload", "640"],
    ["in a key of the payload", "sizes"],
    ["in the punctuation of the JSON", '{"'],
    ["when a letter differs", "Pуshkin"],
  ])("not %s", (_claim, query) => {
    expect(finds(query)).toBe(false);
  });

  test("in a task without payload", () => {
    const plain = { name: "Plain", description: "", payload: null };
    expect(finds("plain", plain)).toBe(true);
    expect(finds("payload.a:x", plain)).toBe(false);
  });

  test("in a payload that is not an object", () => {
    const of = (payload: unknown) => ({ name: "n", description: "", payload: JSON.stringify(payload) });
    expect(finds("hello", of("Hello"))).toBe(true);
    expect(finds("hello", of(["x", ["Hello"]]))).toBe(true);
    expect(finds("1", of(1))).toBe(false);
    expect(finds("payload.0:hello", of(["Hello"]))).toBe(true);
    expect(finds("payload.a:1", of(1))).toBe(false);
    expect(finds("payload.a:1", of(null))).toBe(false);
  });
});

test.each([
  ["payload.id:3889108265204450030", true],
  ["payload.id:3889108265204450000", false],
  ["payload.list.1:1e400", true],
  ["payload.list.1:infinity", false],
  ["payload.list.0:1.00", true],
  ["payload.last:2", true],
  ["payload.last:1", false],
])("a number is found as it was written: %s: %p", (query, found) => {
  const payload = '{"id":3889108265204450030,"list":[1.00, 1E400 ],"last":1,"l\\u0061st":2}';
  expect(finds(query, { ...TASK, payload })).toBe(found);
});

describe("a field is found", () => {
  test.each([
    ["payload.user.name:пушкина", true],
    ["payload.user.name:зоя", false],
    ["payload.user.name:ЗО\u0301Я", true],
    ["payload.user.id:42", true],
    ["payload.user.id:4", true],
    ["payload.user.id:43", false],
    ["payload.user.admin:TRUE", true],
    ["payload.user.nick:null", false],
    ["payload.user:name", false],
    ["payload.sizes.0:640", true],
    ["payload.sizes.1:480.5", true],
    ["payload.sizes.2:1E+21", true],
    ["payload.sizes.3:640", false],
    ["payload.tags.0:STRASSE", true],
    ["payload.Case:sensitive", true],
    ["payload.case:sensitive", false],
    ["payload.a.b:dotted", false],
    ["payload.user.name.0:з", false],
    ["payload.empty:x", false],
    ["payload.missing:x", false],
    ["payload.constructor.name:Object", false],
    ["payload.__proto__.x:y", false],
    ["payload.tags.length:2", false],
    ["payload.user.id:42 resize", true],
    ["payload.user.id:42 missing", false],
    ["payload.user.id:42 payload.user.admin:false", false],
  ])("%s: %p", (query, found) => {
    expect(finds(query)).toBe(found);
  });
});

describe("the searched text", () => {
  const task = (name: string, description = "") => ({ name, description, payload: null });

  test("is name, description and the payload's strings, a line each, folded", () => {
    expect(searchText(TASK)).toBe(
      [
        "resize the café's pictures",
        "two\nlines, 100 % sure",
        "зо\u0301я пушкина",
        "strasse",
        "οδυσσευσ",
        "dotted",
        "sensitive key",
        "",
        "no name",
      ].join("\n"),
    );
  });

  test("ends after 4 KiB", () => {
    expect(finds("end", task("a", `${"x".repeat(4_096 - 5)}end`))).toBe(true);
    expect(finds("end", task("a", `${"x".repeat(4_096 - 4)}end`))).toBe(false);
  });

  test("is well-formed Unicode even where it is cut", () => {
    expect(searchText(task("a", "\u{1f600}".repeat(4_096))).isWellFormed()).toBe(true);
  });
});

describe("a query", () => {
  const words = (count: number): string => Array.from({ length: count }, (_, n) => `w${n}`).join(" ");

  test("may have 32 different words and steps of paths, and 4,096 characters", () => {
    expect(searchFault(words(32))).toBeNull();
    expect(searchFault(words(33))).toBe("must be at most 32 different words and steps of paths, has 33");
    expect(searchFault(`${words(28)} payload.a.b.c.d:x`)).toBeNull();
    expect(searchFault(`${words(28)} payload.a.b.c.d.e:x`)).toContain("has 33");
    expect(searchFault("x ".repeat(2_048))).toBeNull();
    expect(searchFault("x".repeat(4_097))).toBe("must be at most 4096 characters long, is 4097");
  });

  test("keeps a repeated word once, also in another case", () => {
    expect(parseSearch("a A b ａ").words).toEqual(["a", "b"]);
  });
});

describe("folding", () => {
  test.each([
    ["ß", "SS"],
    ["É", "e\u0301"],
    ["Σ", "ς"],
    ["ΣΟΦΟΣ", "σοφός".normalize("NFD").replace("\u0301", "")],
    ["ﬁ", "FI"],
    ["Ⅳ", "iv"],
    ["K", "k"], // the sign for kelvin
    ["ǅ", "ǆ"],
    ["Ｒ", "r"],
    ["é", "É".normalize("NFD")],
    ["й", "И\u0306"],
  ])("makes %j and %j one", (a, b) => {
    expect(fold(a)).toBe(fold(b));
  });

  test.each([
    ["е", "e"], // Cyrillic and Latin
    ["é", "e"],
    ["o", "0"],
  ])("keeps %j and %j apart", (a, b) => {
    expect(fold(a)).not.toBe(fold(b));
  });

  test("gives the same text for a letter, its upper case and its lower case, composed or not, for all of Unicode", () => {
    const apart: string[] = [];
    for (let code = 0; code <= 0x10ffff; code++) {
      const letter = String.fromCodePoint(code);
      if (!/\p{Cased}/u.test(letter)) continue;
      const ways = [letter.toUpperCase(), letter.toLowerCase(), letter.normalize("NFD"), fold(letter)];
      if (ways.some((way) => fold(way) !== fold(letter))) apart.push(letter);
    }
    expect(apart).toEqual([]);
  });

  test("gives the same text for all compositions of a text, and does not change a folded text", () => {
    const letter = fc.constantFrom(..."aÄäßẞΣσςЙй\u0308\u0301éﬁİıĳǅΐᾳ ");
    fc.assert(
      fc.property(fc.string({ unit: letter }), (text) => {
        expect(fold(text.normalize("NFD"))).toBe(fold(text));
        expect(fold(text.normalize("NFC"))).toBe(fold(text));
        expect(fold(fold(text))).toBe(fold(text));
      }),
      { numRuns: 2_000 },
    );
  });
});
