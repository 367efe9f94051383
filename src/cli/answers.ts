/** Answers of the server as they were written: JavaScript moves keys such as "10" to the front and drops repeated ones. */
import { parseExactly } from "../core/exact-json.ts";
import { elementsOf, startOf } from "../core/json-text.ts";
import type { JsonText } from "../core/task.ts";

/** Beside the answers, so that they stay what the SDK's types say. */
const texts = new WeakMap<object, JsonText>();

/** Parses an answer for `textOf`, which knows the text of the whole and of each element of a list. */
export function parseAnswer(text: string): unknown {
  const answer = parseExactly(text);
  keep(answer, text);
  if (Array.isArray(answer)) {
    for (const [at, { start, end }] of elementsOf(text, startOf(text)).entries())
      keep(answer[at], text.slice(start, end));
  }
  return answer;
}

/** The JSON of a value, as it was written where it is an answer. */
export const textOf = (value: object): JsonText => texts.get(value) ?? JSON.stringify(value);

function keep(value: unknown, text: JsonText): void {
  if (typeof value === "object" && value !== null) texts.set(value, text);
}
