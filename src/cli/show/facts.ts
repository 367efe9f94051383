/** Names and values in two columns. */
import { indented } from "../../core/json-text.ts";
import type { JsonText } from "../../core/task.ts";
import { harmless, harmlessJson, padTo, widthOf } from "./text.ts";

export type Fact = readonly [name: string, value: string | readonly string[] | null];

/** Those without a value are left out; further lines of a value stand below its first. */
export function factLines(facts: readonly Fact[]): string[] {
  const known = facts.filter(([, value]) => value !== null && value.length > 0);
  const width = Math.max(0, ...known.map(([name]) => widthOf(name)));
  return known.flatMap(([name, value]) =>
    [value ?? ""].flat().map((line, at) => `  ${padTo(at === 0 ? name : "", width)}  ${line}`.trimEnd()),
  );
}

/** JSON with its parts on lines of their own; nothing for null, which is the lack of one. */
export const jsonLines = (text: JsonText | null): string[] =>
  text === null || text === "null" ? [] : harmlessJson(indented(text)).split("\n").map(harmless);
