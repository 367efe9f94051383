import { isTaskError, TaskError } from "../core/error.ts";

type Bounds<T> = {
  readonly count: number;
  readonly bytes: number;
  readonly countOf?: (item: T) => number;
  readonly bytesOf: (item: T) => number;
};

/** Divides a list, in its order, into parts within the bounds; a single item may be over them. */
export function pieces<T>(items: readonly T[], bounds: Bounds<T>): T[][] {
  const parts: T[][] = [];
  let [count, bytes] = [Number.POSITIVE_INFINITY, 0];
  for (const item of items) {
    const [itemCount, itemBytes] = [bounds.countOf?.(item) ?? 1, bounds.bytesOf(item)];
    if (count + itemCount > bounds.count || bytes + itemBytes > bounds.bytes) {
      parts.push([]);
      [count, bytes] = [0, 0];
    }
    parts.at(-1)?.push(item);
    count += itemCount;
    bytes += itemBytes;
  }
  return parts;
}

/**
 * Writes the parts one after the other and joins their answers. A refusal proves that nothing was written only for the first part: a
 * later one becomes `store_unavailable`.
 */
export async function writeInPieces<T, A>(
  parts: readonly (readonly T[])[],
  write: (part: readonly T[]) => Promise<readonly A[]>,
): Promise<A[]> {
  const answers: A[] = [];
  for (const part of parts) {
    try {
      for (const answer of await write(part)) answers.push(answer);
    } catch (error) {
      if (part !== parts[0] && isTaskError(error, "store_rejected")) {
        throw new TaskError("store_unavailable", `Only a part of the call was written. ${error.message}`);
      }
      throw error;
    }
  }
  return answers;
}

/** The same for writes that are functions. */
export const writeInTurn = <A>(writes: readonly (() => Promise<A>)[]): Promise<A[]> =>
  writeInPieces(
    writes.map((write) => [write]),
    (part) => Promise.all(part.map((write) => write())),
  );
