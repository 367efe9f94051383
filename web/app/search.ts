/** The address bar's query, in the API's own style: `?status=failed&status=done&q=word`. */
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

// For `validateSearch` of a route.

/** All values of a name. */
export const listOf = (value: unknown): string[] =>
  (Array.isArray(value) ? value : [value]).filter(
    (one): one is string => typeof one === "string" && one !== "",
  );

/** Those that are among the known ones. */
export const knownOf = <T extends string>(value: unknown, known: readonly T[]): T[] =>
  listOf(value).flatMap((one) => known.find((each) => each === one) ?? []);

export const textOf = (value: unknown): string => listOf(value)[0] ?? "";
