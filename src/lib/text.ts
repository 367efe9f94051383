const NO_TEXT = "a value that cannot be shown";

/** Any value in words, as a person wants to read it; never throws, whatever the value's own code does. */
export function textOf(value: unknown): string {
  try {
    if (typeof value === "string") return value;
    return isPlain(value) ? (JSON.stringify(value) ?? String(value)) : String(value);
  } catch {
    return NO_TEXT;
  }
}

/** An Error, a Date or a bigint says more of itself than its JSON does. */
const isPlain = (value: unknown): boolean =>
  typeof value === "object" && !(value instanceof Error) && !(value instanceof Date);
