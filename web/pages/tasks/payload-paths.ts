import { writtenNumber } from "../../../src/core/exact-json.ts";

/** Suggestions for payload filters: the paths in the payloads, each with the values found there. */
export type PayloadPaths = ReadonlyMap<string, ReadonlySet<string>>;

const DEEPEST = 4;
const MOST_PATHS = 100;
const MOST_VALUES = 20;
const LONGEST = 40;
const OFFERED = 8;
const PREFIX = "payload.";

/** The search syntax separates words by white space, path and value by a colon, and steps of a path by dots. */
const isExpressible = (text: string, marks: RegExp): boolean =>
  text !== "" && text.length <= LONGEST && !marks.test(text);

export function pathsOf(payloads: readonly unknown[]): PayloadPaths {
  const paths = new Map<string, Set<string>>();

  const collect = (value: unknown, steps: readonly string[]): void => {
    const number = writtenNumber(value); // a search compares the text of a number
    if (typeof value === "object" && value !== null && number === null) {
      if (steps.length === DEEPEST) return;
      for (const [step, member] of Object.entries(value)) {
        if (isExpressible(step, /[\s:.]/u)) collect(member, [...steps, step]);
      }
      return;
    }
    if (steps.length === 0 || value === null) return;
    const path = steps.join(".");
    if (!paths.has(path) && paths.size === MOST_PATHS) return;
    const values = paths.get(path) ?? new Set<string>();
    paths.set(path, values);
    const text = number ?? String(value);
    if (values.size < MOST_VALUES && isExpressible(text, /\s/u)) values.add(text);
  };

  for (const payload of payloads) collect(payload, []);
  return paths;
}

/** Complete texts for the search field, with completions of the last word. */
export function suggestionsFor(text: string, paths: PayloadPaths): string[] {
  const [, before = "", word = ""] = /^(.*?)(\S*)$/su.exec(text) ?? [];
  const colon = word.indexOf(":");
  const words =
    colon === -1
      ? [...paths.keys()].map((path) => `${PREFIX}${path}:`)
      : [...(paths.get(word.slice(PREFIX.length, colon)) ?? [])].map(
          (value) => word.slice(0, colon + 1) + value,
        );
  return words
    .filter((one) => one !== word && (one.startsWith(word) || one.startsWith(PREFIX + word)))
    .slice(0, OFFERED)
    .map((one) => before + one);
}

/** A path without a value matches no task, so the search waits. */
export const isUnfinished = (text: string): boolean => /(^|\s)payload\.[^:\s]+:$/u.test(text);
