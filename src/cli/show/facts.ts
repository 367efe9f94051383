/** Names and values in two columns. */
import { indented } from "../../core/json-text.ts";
import type { JsonText } from "../../core/task.ts";
import { harmless, harmlessJson, padTo, widthOf } from "./text.ts";

export type Fact = readonly [name: string, value: string | readonly string[] | null];

/** Facts without a value are left out. Further lines of a value are below its first line. */
export function factLines(facts: readonly Fact[]): string[] {
  const known = facts.filter(([, value]) => value !== null && value.length > 0);
  const width = Math.max(0, ...known.map(([name]) => widthOf(name)));
  return known.flatMap(([name, value]) =>
    [value ?? ""].flat().map((line, at) => `  ${padTo(at === 0 ? name : "", width)}  ${line}`.trimEnd()),
  );
}

/** JSON on several lines; none for null, which means that there is no value. */
export const jsonLines = (text: JsonText | null): string[] =>
  text === null || text === "null" ? [] : harmlessJson(indented(text)).split("\n").map(harmless);
