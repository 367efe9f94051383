/** Only the rows of a long table that are in sight, and how high what is left out above and below them is. */
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type RefObject, useLayoutEffect, useState } from "react";

type Setup = {
  readonly count: number;
  /** All rows are equally high. */
  readonly rowHeight: number;
  /** What the rows lie in; the page scrolls, not it. */
  readonly place: RefObject<HTMLElement | null>;
};

export type VirtualRows = {
  /** Indexes of the rows to draw, rising. */
  readonly indexes: readonly number[];
  /** Pixels for an empty row before and after them. */
  readonly before: number;
  readonly after: number;
  /** For the keys: brings a row into sight. */
  readonly scrollTo: (index: number) => void;
};

/** Beyond the edges, so that scrolling shows no gaps and Tab finds a next row. */
const OVERSCAN = 12;

export function useVirtualRows({ count, rowHeight, place }: Setup): VirtualRows {
  const [offset, setOffset] = useState(0);
  useLayoutEffect(() => {
    const top = place.current?.getBoundingClientRect().top ?? 0;
    setOffset(top + window.scrollY);
  }, [place]);

  const rows = useWindowVirtualizer({
    count,
    estimateSize: () => rowHeight,
    overscan: OVERSCAN,
    scrollMargin: offset,
  });
  const items = rows.getVirtualItems();
  const first = items[0];
  const last = items.at(-1);
  return {
    indexes: items.map(({ index }) => index),
    before: first === undefined ? 0 : first.index * rowHeight,
    after: last === undefined ? 0 : (count - 1 - last.index) * rowHeight,
    scrollTo: (index) => rows.scrollToIndex(index),
  };
}
