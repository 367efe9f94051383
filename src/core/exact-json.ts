/**
 * JSON for programs that pass values on without computing with them. A number that JavaScript would print in another form (a
 * large id, 1e999, 1.0) becomes an object that keeps the number's text. JSON.stringify prints that text unchanged.
 */
export function parseExactly(text: string): unknown {
  return MAY_CHANGE.test(text) ? JSON.parse(text, keepNumber) : JSON.parse(text);
}

/**
 * Finds a number that is not a short whole number, in a place where a value may begin. Most answers have none, and a reviver
 * takes ten times as long.
 */
const MAY_CHANGE = /(?:^|[:[,])\s*(?:-0|-?\d{16,}|-?\d+\.\d+|-?\d+(?:\.\d+)?[eE][-+]?\d+)\s*(?:[,\]}]|$)/;

/**
 * New in ECMAScript: TypeScript's library does not declare it and older browsers lack it. In those browsers numbers are parsed as
 * JSON.parse does.
 */
const { rawJSON, isRawJSON } = JSON as unknown as {
  readonly rawJSON?: (text: string) => unknown;
  readonly isRawJSON?: (value: unknown) => boolean;
};

/** The text of a number that was kept as it was written; null for any other value. */
export const writtenNumber = (value: unknown): string | null =>
  isRawJSON?.(value) === true ? (value as { readonly rawJSON: string }).rawJSON : null; // isRawJSON guarantees it

function keepNumber(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return typeof value === "number" && source !== undefined && String(value) !== source
    ? (rawJSON?.(source) ?? value)
    : value;
}
