/** The query of the page's address, in the API's format: `?status=failed&status=done&q=word`. */
export type RawSearch = Record<string, string | readonly string[]>;

export function parseSearch(text: string): RawSearch {
  const params = new URLSearchParams(text);
  const names = [...new Set(params.keys())];
  return Object.fromEntries(
    names.map((name) => {
      const [first = "", ...others] = params.getAll(name);
      return [name, others.length === 0 ? first : [first, ...others]];
    }),
  );
}

export function stringifySearch(search: Readonly<Record<string, unknown>>): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined && one !== null && one !== "") params.append(name, String(one));
    }
  }
  return params.size === 0 ? "" : `?${params}`;
}

// Helpers for `validateSearch` of a route.

/** All values of a parameter. */
export const listOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter(
    (one): one is string => typeof one === "string" && one !== "",
  );

/** The values that are in `known`. */
export const knownOf = <T extends string>(value: unknown, known: readonly T[]): T[] =>
  listOf(value).flatMap((one) => known.find((each) => each === one) ?? []);

export const textOf = (value: unknown): string => listOf(value)[0] ?? "";
