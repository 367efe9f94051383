/**
 * A sorted collection in blocks: adding, removing and finding cost a binary search and a shift of one block, whatever
 * the size, and a million members take eight bytes each. A single array would shift megabytes, a heap could not be
 * read in order, and a tree would need an object for each member.
 */
export interface Sorted<T> {
  readonly size: number;
  add(member: T): void;
  /** Removes the member that compares as equal; false if there is none. */
  remove(member: T): boolean;
  first(): T | undefined;
  last(): T | undefined;
  /** Members from the first that is not before `probe` (or the very first), in order. */
  from(probe: T | null): Generator<T>;
  /** Members from the last that is not after `probe` (or the very last), backwards. */
  backFrom(probe: T | null): Generator<T>;
}

const BLOCK = 512;

/** A read is correct only while nothing is added or removed; a reader that pauses begins again from its last member. */
export function createSorted<T>(compare: (a: T, b: T) => number): Sorted<T> {
  const blocks: T[][] = [];
  let size = 0;

  /** The first block whose last member is not before the probe. */
  const blockOf = (probe: T): number => search(blocks.length, (at) => compare(lastOf(at), probe) < 0);
  const lastOf = (at: number): T => memberOf(blockAt(at), blockAt(at).length - 1);
  const blockAt = (at: number): T[] => blocks[at] as T[]; // `at` comes from a search within bounds
  const indexIn = (block: T[], probe: T): number =>
    search(block.length, (at) => compare(memberOf(block, at), probe) < 0);

  /** Most members come in order, so the end is tried before the search. */
  function add(member: T): void {
    size++;
    const last = blocks.at(-1);
    if (last === undefined || compare(memberOf(last, last.length - 1), member) < 0) append(last, member);
    else insertInto(blockOf(member), member);
  }

  /** Members that are added at the end fill whole blocks. */
  function append(last: T[] | undefined, member: T): void {
    if (last !== undefined && last.length < BLOCK) last.push(member);
    else blocks.push([member]);
  }

  function insertInto(at: number, member: T): void {
    const block = blockAt(at);
    block.splice(indexIn(block, member), 0, member);
    if (block.length > BLOCK) blocks.splice(at + 1, 0, block.splice(BLOCK / 2));
  }

  function remove(member: T): boolean {
    const at = blockOf(member);
    if (at === blocks.length) return false;
    const block = blockAt(at);
    const index = indexIn(block, member);
    if (compare(memberOf(block, index), member) !== 0) return false;
    block.splice(index, 1);
    if (block.length === 0) blocks.splice(at, 1);
    size--;
    return true;
  }

  function* from(probe: T | null): Generator<T> {
    let at = probe === null ? 0 : blockOf(probe);
    let index = probe === null || at === blocks.length ? 0 : indexIn(blockAt(at), probe);
    for (; at < blocks.length; at++, index = 0) {
      for (const block = blockAt(at); index < block.length; index++) yield memberOf(block, index);
    }
  }

  function* backFrom(probe: T | null): Generator<T> {
    let at = probe === null ? blocks.length - 1 : Math.min(blockOf(probe), blocks.length - 1);
    for (; at >= 0; at--) {
      const block = blockAt(at);
      for (let index = block.length - 1; index >= 0; index--) {
        const member = memberOf(block, index);
        if (probe === null || compare(member, probe) <= 0) yield member;
      }
    }
  }

  return {
    get size() {
      return size;
    },
    add,
    remove,
    first: () => blocks[0]?.[0],
    last: () => blocks.at(-1)?.at(-1),
    from,
    backFrom,
  };
}

/** A member at an index that a search has found within bounds. */
const memberOf = <T>(block: readonly T[], index: number): T => block[index] as T;

/** The first index in [0, length) for which `isBefore` is false, else `length`. */
function search(length: number, isBefore: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isBefore(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
