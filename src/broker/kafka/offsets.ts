/** Finds the offset of each partition that can be committed, while messages are processed at the same time and end in any order. */
export interface Offsets {
  begin(partition: number, offset: bigint): void;
  end(partition: number, offset: bigint): void;
  /** For each partition in which a message has ended since the last call: the offset of the first message that has not ended. */
  take(): { readonly partition: number; readonly offset: bigint }[];
}

type Partition = { readonly underWay: Set<bigint>; highest: bigint; isChanged: boolean };

export function createOffsets(): Offsets {
  const partitions = new Map<number, Partition>();

  function partitionOf(number: number): Partition {
    const known = partitions.get(number) ?? { underWay: new Set(), highest: -1n, isChanged: false };
    partitions.set(number, known);
    return known;
  }

  return {
    begin: (number, offset) => {
      const partition = partitionOf(number);
      partition.underWay.add(offset);
      if (offset > partition.highest) partition.highest = offset;
    },
    end: (number, offset) => {
      const partition = partitionOf(number);
      partition.underWay.delete(offset);
      partition.isChanged = true;
    },
    take: () => {
      const changed = [...partitions].filter(([, { isChanged }]) => isChanged);
      return changed.map(([partition, state]) => {
        state.isChanged = false;
        return { partition, offset: firstUnderWay(state) };
      });
    },
  };
}

/** A linear search: at most a thousand are under way, and it runs once per commit. */
function firstUnderWay({ underWay, highest }: Partition): bigint {
  let first = highest + 1n;
  for (const offset of underWay) if (offset < first) first = offset;
  return first;
}
