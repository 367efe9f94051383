/**
 * JSON for programs that only pass it on: numbers that JavaScript would print otherwise than they are written (a large id, 1e999, 1.0)
 * stay as they are written. JSON.stringify prints them so again; for all else they are objects.
 */
export function parseExactly(text: string): unknown {
  return MAY_CHANGE.test(text) ? JSON.parse(text, keepNumber) : JSON.parse(text);
}

/** A number that is no short whole one, where a value may stand. Most answers have none, and a reviver takes ten times as long. */
const MAY_CHANGE = /(?:^|[:[,])\s*(?:-0|-?\d{16,}|-?\d+\.\d+|-?\d+(?:\.\d+)?[eE][-+]?\d+)\s*(?:[,\]}]|$)/;

/** New in ECMAScript, so that TypeScript's library does not know it and older browsers do not have it: there numbers are read as ever. */
const { rawJSON, isRawJSON } = JSON as unknown as {
  readonly rawJSON?: (text: string) => unknown;
  readonly isRawJSON?: (value: unknown) => boolean;
};

/** The text of a number that was kept as it is written; null for anything else. */
export const writtenNumber = (value: unknown): string | null =>
  isRawJSON?.(value) === true ? (value as { readonly rawJSON: string }).rawJSON : null; // what isRawJSON says of it

function keepNumber(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source;
  return typeof value === "number" && source !== undefined && String(value) !== source
    ? (rawJSON?.(source) ?? value)
    : value;
}
