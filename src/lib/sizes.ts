/** Splits a list, in its order, into pieces of at most `most`. A single item that is larger is a piece of its own. */
export function inSizes<T>(items: readonly T[], most: number, sizeOf: (item: T) => number): T[][] {
  const parts: T[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const itemSize = sizeOf(item);
    if (size + itemSize > most) {
      parts.push([]);
      size = 0;
    }
    parts.at(-1)?.push(item);
    size += itemSize;
  }
  return parts;
}
