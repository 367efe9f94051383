const NO_TEXT = "a value that cannot be shown";

/** Converts any value to readable text. Never throws, even if the value's own code throws. */
export function textOf(value: unknown): string {
  try {
    if (typeof value === "string") return value;
    return isPlain(value) ? (JSON.stringify(value) ?? String(value)) : String(value);
  } catch {
    return NO_TEXT;
  }
}

/** The text form of an Error, a Date or a bigint is more informative than its JSON. */
const isPlain = (value: unknown): boolean =>
  typeof value === "object" && !(value instanceof Error) && !(value instanceof Date);
