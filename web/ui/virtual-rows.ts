/** The visible rows of a long table, and the height of the rows that are not rendered above and below them. */
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import { type RefObject, useLayoutEffect, useState } from "react";

type Setup = {
  readonly count: number;
  /** Pixels. All rows have the same height. */
  readonly rowHeight: number;
  /** The element with the rows. The page scrolls, not this element. */
  readonly place: RefObject<HTMLElement | null>;
};

export type VirtualRows = {
  /** Indexes of the rows to render, ascending. */
  readonly indexes: readonly number[];
  /** Heights in pixels of the empty rows before and after them. */
  readonly before: number;
  readonly after: number;
  /** Scrolls a row into view, for keyboard shortcuts. */
  readonly scrollTo: (index: number) => void;
};

/** Rows rendered beyond the visible area, so that scrolling shows no gaps and Tab reaches the next row. */
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
