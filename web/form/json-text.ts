/** Finds the first syntax error in JSON that a user types. */

/** The kind of text that JSON requires at the position. */
export type Expected = "value" | "key" | "colon" | "commaOrEnd" | "nothing" | "stringEnd";

/** Lines and columns start at 1, as in editors. */
export type JsonFault = { readonly line: number; readonly column: number; readonly expected: Expected };

/** Null for valid JSON. Each browser words its syntax errors differently, and some omit the position, so this searches for it. */
export function jsonFault(text: string): JsonFault | null {
  try {
    JSON.parse(text);
    return null;
  } catch {
    return placeOf(text, firstFault(text));
  }
}

/** The same for a field that may be empty. */
export const optionalJsonFault = (text: string): JsonFault | null => (isBlank(text) ? null : jsonFault(text));

/** A blank text counts as no value. */
export const isBlank = (text: string): boolean => text.trim() === "";

const SPACE = /[ \t\n\r]*/y;
const SCALAR = /(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings
const OPEN_STRING = /"(?:[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*/y;
// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids them in strings
const STRING = /"(?:[^"\\\u0000-\u001f]+|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/y;

type Found = { readonly at: number; readonly expected: Expected };

/** The first position where no valid JSON can continue. An explicit stack instead of recursion: the text may be nested arbitrarily deep. */
function firstFault(text: string): Found {
  const open: ("{" | "[")[] = [];
  let at = skip(SPACE, text, 0);
  let expected: Expected = "value";
  let mayClose = false;
  for (;;) {
    const char = text.charAt(at);
    const isClosing = char === (open.at(-1) === "{" ? "}" : "]") && open.length > 0;
    if (isClosing && (mayClose || expected === "commaOrEnd")) {
      open.pop();
      at++;
      expected = open.length === 0 ? "nothing" : "commaOrEnd";
    } else if (expected === "value" && (char === "{" || char === "[")) {
      open.push(char);
      at++;
      expected = char === "{" ? "key" : "value";
      mayClose = true;
      at = skip(SPACE, text, at);
      continue;
    } else if (expected === "value" || expected === "key") {
      const end = expected === "key" ? skip(STRING, text, at) : endOfScalar(text, at);
      if (end === at)
        return char === '"' ? { at: brokenString(text, at), expected: "stringEnd" } : { at, expected };
      at = end;
      expected = expected === "key" ? "colon" : open.length === 0 ? "nothing" : "commaOrEnd";
    } else if (expected === "colon" && char === ":") {
      at++;
      expected = "value";
    } else if (expected === "commaOrEnd" && char === ",") {
      at++;
      expected = open.at(-1) === "{" ? "key" : "value";
    } else return { at, expected };
    mayClose = false;
    at = skip(SPACE, text, at);
  }
}

const endOfScalar = (text: string, at: number): number =>
  text.charAt(at) === '"' ? skip(STRING, text, at) : skip(SCALAR, text, at);

/** The position after the match at `at`; `at` itself if nothing matches. */
function skip(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return at + (pattern.exec(text)?.[0].length ?? 0);
}

/** The position of the error in an invalid string: an unescaped line break, an invalid escape, or the end of the text. */
const brokenString = (text: string, start: number): number => skip(OPEN_STRING, text, start);

function placeOf(text: string, { at, expected }: Found): JsonFault {
  const before = text.slice(0, at).split("\n");
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1, expected };
}
