/**
 * Finds values in the text of a JSON document, so that they can be kept as they were written: JSON.parse loses the digits of
 * large numbers, makes `1e999` Infinity and moves keys such as "10" to the front. JSON.parse must have accepted every text
 * before, so nothing is checked again. The scan skips strings and counts brackets, which reads a mebibyte in two milliseconds.
 */
import type { JsonText } from "./task.ts";

/** The range of a value: its first character and the one after its last, without the white space around it. */
export type Span = { readonly start: number; readonly end: number };

/** Where the document's value begins. */
export const startOf = (text: JsonText): number => skipSpace(text, 0);

/**
 * The member of the object that begins at `object`; null if the value there is not an object or has no such member. If a name is
 * repeated, the last member counts, as in JSON.parse.
 */
export function memberOf(text: JsonText, object: number, name: string): Span | null {
  if (text.charCodeAt(object) !== OPEN_BRACE) return null;
  let found: Span | null = null;
  for (let at = skipSpace(text, object + 1); text.charCodeAt(at) === QUOTE; ) {
    const keyEnd = skipString(text, at);
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1); // after the colon
    const end = skipValue(text, start);
    if (isName(text.slice(at + 1, keyEnd - 1), name)) found = { start, end };
    at = skipComma(text, end);
  }
  return found;
}

/** The elements of the list that begins at `list`; none if the value there is not a list. */
export function elementsOf(text: JsonText, list: number): Span[] {
  const elements: Span[] = [];
  if (text.charCodeAt(list) !== OPEN_BRACKET) return elements;
  for (let at = skipSpace(text, list + 1); text.charCodeAt(at) !== CLOSE_BRACKET; ) {
    const end = skipValue(text, at);
    elements.push({ start: at, end });
    at = skipComma(text, end);
  }
  return elements;
}

/** The value at the end of a path of member names and list indexes; null if there is none. */
export function valueAt(text: JsonText, path: readonly string[]): JsonText | null {
  let at = startOf(text);
  for (const step of path) {
    const isPlace = text.charCodeAt(at) === OPEN_BRACKET && /^(?:0|[1-9]\d*)$/.test(step);
    const span = isPlace ? elementsOf(text, at)[Number(step)] : memberOf(text, at, step);
    if (span == null) return null;
    at = span.start;
  }
  return text.slice(at, skipValue(text, at));
}

/** The document indented by two spaces a level, as JSON.stringify does it. Every number, string and key stays as it is written. */
export const indented = (text: JsonText): JsonText =>
  printed(text, { colon: ": ", lineBreak: (depth) => `\n${"  ".repeat(depth)}` });

/** The document without white space between its tokens, which stay as they are written. */
export const compacted = (text: JsonText): JsonText => printed(text, { colon: ":", lineBreak: () => "" });

type Spacing = { readonly colon: string; readonly lineBreak: (depth: number) => string };

function printed(text: JsonText, { colon, lineBreak }: Spacing): JsonText {
  const parts: string[] = [];
  let depth = 0;
  for (let at = startOf(text); at < text.length; ) {
    const unit = text.charCodeAt(at);
    const end = skipToken(text, at);
    const next = skipSpace(text, end);
    if (isClosing(unit)) parts.push(lineBreak(--depth));
    parts.push(unit === COLON ? colon : text.slice(at, end));
    if (isOpening(unit) && isClosing(text.charCodeAt(next))) {
      parts.push(text.charAt(next)); // an empty object or list stays on its line
      at = skipSpace(text, next + 1);
      continue;
    }
    if (isOpening(unit)) depth++;
    if (isOpening(unit) || unit === COMMA) parts.push(lineBreak(depth));
    at = next;
  }
  return parts.join("");
}

/** A whole string or scalar, or one punctuation character. */
function skipToken(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (isOpening(unit) || isClosing(unit) || unit === COMMA || unit === COLON) return at + 1;
  return skipValue(text, at);
}

/** Compares the key as it is written. A key with an escape is parsed first, because an escape may spell the same name. */
const isName = (written: string, name: string): boolean =>
  written === name || (written.includes("\\") && JSON.parse(`"${written}"`) === name);

/**
 * The strings that are values, not names of members, in the order in which they are written. Parses those strings alone: a
 * mebibyte of numbers takes a millisecond; JSON.parse makes 130,000 objects of it.
 */
export function* stringsOf(text: JsonText): Generator<string> {
  for (let at = text.indexOf('"'); at !== -1; ) {
    const end = skipString(text, at);
    if (text.charCodeAt(skipSpace(text, end)) !== COLON) yield JSON.parse(text.slice(at, end)) as string; // it is a value, not a name
    at = text.indexOf('"', end);
  }
}

/** Whether the text has objects and lists nested deeper than this, which is at least 1. The text need not be valid JSON. */
export function isDeeperThan(levels: number, text: string): boolean {
  if (text.indexOf("{", 1) === -1 && text.indexOf("[") === -1) return false; // one flat object, like most bodies
  let depth = 0;
  for (let next = 0; next < text.length; next++) {
    const unit = text.charCodeAt(next);
    if (unit === QUOTE) next = skipString(text, next) - 1;
    else if (isOpening(unit)) {
      if (++depth > levels) return true;
    } else if (isClosing(unit)) depth--;
  }
  return false;
}

const skipComma = (text: string, at: number): number => {
  const next = skipSpace(text, at);
  return text.charCodeAt(next) === COMMA ? skipSpace(text, next + 1) : next;
};

function skipSpace(text: string, at: number): number {
  let next = at;
  while (isSpace(text.charCodeAt(next))) next++;
  return next;
}

const isSpace = (unit: number): boolean => unit === 0x20 || unit === 0x0a || unit === 0x0d || unit === 0x09;

function skipValue(text: string, at: number): number {
  const first = text.charCodeAt(at);
  if (first === QUOTE) return skipString(text, at);
  if (isOpening(first)) return skipNested(text, at);
  let next = at;
  while (next < text.length && !endsScalar(text.charCodeAt(next))) next++;
  return next;
}

const endsScalar = (unit: number): boolean => unit === COMMA || isClosing(unit) || isSpace(unit);

const isOpening = (unit: number): boolean => unit === OPEN_BRACE || unit === OPEN_BRACKET;
const isClosing = (unit: number): boolean => unit === CLOSE_BRACE || unit === CLOSE_BRACKET;

/** The end of an object or a list of any depth. */
function skipNested(text: string, at: number): number {
  let depth = 0;
  for (let next = at; next < text.length; next++) {
    const unit = text.charCodeAt(next);
    if (unit === QUOTE) next = skipString(text, next) - 1;
    else if (isOpening(unit)) depth++;
    else if (isClosing(unit) && --depth === 0) return next + 1;
  }
  return text.length;
}

function skipString(text: string, at: number): number {
  for (let next = at + 1; next < text.length; next++) {
    const unit = text.charCodeAt(next);
    if (unit === BACKSLASH) next++;
    else if (unit === QUOTE) return next + 1;
  }
  return text.length;
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
