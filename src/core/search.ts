import { stringsOf, valueAt } from "./json-text.ts";
import type { JsonText, Task } from "./task.ts";
import { LIMITS } from "./task.ts";

/** A parsed search: words that must all be contained, and `payload.a.b:text` for one field. */
export type Search = {
  readonly words: readonly string[];
  readonly fields: readonly { readonly path: readonly string[]; readonly text: string }[];
};

/** How much of a task's text is searched. */
const SEARCHED_LENGTH = LIMITS.searchLength;

/**
 * Makes two texts equal if they differ only in case or in the composition of their letters. A conversion to lower, upper and again
 * lower case makes "ẞ", "ß" and "SS" equal. Upper case decomposes some Greek letters, so they are composed at the end. The final sigma
 * is the only letter with two lower-case forms. Characters that no store can keep become the replacement character, in texts and in queries.
 * Most text is ASCII and needs none of this.
 */
export function fold(text: string): string {
  if (ASCII.test(text)) return text.toLowerCase();
  const cased = text
    .toWellFormed()
    .replaceAll("\0", "\uFFFD")
    .normalize("NFKC")
    .toLowerCase()
    .toUpperCase()
    .toLowerCase();
  return cased.normalize("NFKC").replaceAll("ς", "σ");
}

/** Without control characters: some stores cannot keep NUL. */
const ASCII = /^[\t\n\r -~]*$/;

/** The folded text that is searched for words: name, description and the strings of the payload, up to the limit. */
export function searchText(task: Pick<Task, "name" | "description" | "payload">): string {
  let text = `${task.name}\n${task.description}`;
  for (const string of stringsOf(task.payload ?? "")) {
    if (text.length >= SEARCHED_LENGTH) break;
    text += `\n${string}`;
  }
  return fold(text.slice(0, SEARCHED_LENGTH).toWellFormed());
}

const FIELD = /^payload\.([^:]+):(.+)$/su;

/**
 * The limits of a query. Each word is searched for in each task, and each step of a field's path is followed, so both count as
 * terms. A repeated word counts once. No searched text is longer than the longest query.
 */
export function searchFault(query: string): string | null {
  if (query.length > LIMITS.searchLength) {
    return `must be at most ${LIMITS.searchLength} characters long, is ${query.length}`;
  }
  const { words, fields } = parseSearch(query);
  const terms = fields.reduce((sum, { path }) => sum + path.length, words.length);
  if (terms <= LIMITS.searchTerms) return null;
  return `must be at most ${LIMITS.searchTerms} different words and steps of paths, has ${terms}`;
}

/**
 * Reads a query: terms are separated by white space. `payload.user.name:ann` searches one field, any other term is a word.
 * Repeated words are kept once.
 */
export function parseSearch(query: string): Search {
  const words = new Set<string>();
  const fields: { path: string[]; text: string }[] = [];
  for (const term of query.split(/\s+/u).filter((term) => term !== "")) {
    const [, path, text] = FIELD.exec(term) ?? [];
    if (path !== undefined && text !== undefined) fields.push({ path: path.split("."), text: fold(text) });
    else words.add(fold(term));
  }
  return { words: [...words], fields };
}

/** Whether every word is contained in the task's text and every field's text in that field. */
export function matchesSearch(task: Pick<Task, "name" | "description" | "payload">, search: Search): boolean {
  if (search.words.length > 0) {
    const text = searchText(task);
    if (!search.words.every((word) => text.includes(word))) return false;
  }
  if (search.fields.length === 0) return true;
  if (task.payload === null) return false;
  const payload = { text: task.payload, value: JSON.parse(task.payload) as unknown };
  return search.fields.every(({ path, text }) => fieldText(payload, path)?.includes(text) ?? false);
}

type Payload = { readonly text: JsonText; readonly value: unknown };

/** A number matches as it was written: a large id has digits that a JavaScript number does not keep. */
function fieldText(payload: Payload, path: readonly string[]): string | null {
  let { value } = payload;
  for (const step of path) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, step)) return null;
    if (Array.isArray(value) && !/^\d+$/.test(step)) return null; // an array's "length" is no member of the JSON
    value = (value as Record<string, unknown>)[step]; // its own member, as checked
  }
  if (typeof value === "string") return fold(value);
  if (typeof value === "number") return valueAt(payload.text, path)?.toLowerCase() ?? null;
  return typeof value === "boolean" ? String(value) : null;
}
