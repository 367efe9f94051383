/** How far each partition has been dealt with, when messages are dealt with at once and end in any order. */
export interface Offsets {
  begin(partition: number, offset: bigint): void;
  end(partition: number, offset: bigint): void;
  /** Of each partition on which something has ended since the last time: the first offset that is not dealt with. */
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
        return { partition, offset: firstOpen(state) };
      });
    },
  };
}

/** A thousand at most are under way, and this is asked once a commit. */
function firstOpen({ underWay, highest }: Partition): bigint {
  let first = highest + 1n;
  for (const offset of underWay) if (offset < first) first = offset;
  return first;
}
