/**
 * Keeps the text of the server's answers. JavaScript moves keys such as "10" to the front of an object, and
 * drops repeated keys.
 */
import { parseExactly } from "../core/exact-json.ts";
import { elementsOf, startOf } from "../core/json-text.ts";
import type { JsonText } from "../core/task.ts";

/** Kept outside the answers, so that they have the types of the SDK. */
const texts = new WeakMap<object, JsonText>();

/** Parses an answer and keeps its text, and the text of each element of a list, for `textOf`. */
export function parseAnswer(text: string): unknown {
  const answer = parseExactly(text);
  keep(answer, text);
  if (Array.isArray(answer)) {
    for (const [at, { start, end }] of elementsOf(text, startOf(text)).entries())
      keep(answer[at], text.slice(start, end));
  }
  return answer;
}

/** The JSON of a value: for an answer the text that was received. */
export const textOf = (value: object): JsonText => texts.get(value) ?? JSON.stringify(value);

function keep(value: unknown, text: JsonText): void {
  if (typeof value === "object" && value !== null) texts.set(value, text);
}
