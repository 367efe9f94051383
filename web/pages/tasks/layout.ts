/** The layout of the table: columns, time format, and the phone layout on narrow windows. */
import { useMemo } from "react";
import { type ColumnId, leastWidth, ON_A_PHONE, useColumns, useExactTimes } from "./columns.ts";
import { useWindowWidth } from "./window-width.ts";

const PHONE_WIDTH = 640;
/** Pixels on both sides of the table. */
const PAGE_EDGES = 68;
/** The page is never wider: `--page` in tokens.css. */
const PAGE_WIDTH = 1_440;

export type Layout = {
  readonly columns: readonly ColumnId[];
  readonly exact: boolean;
  /** A second line replaces the columns that do not fit on a phone. */
  readonly isPhone: boolean;
};

export function useLayout(): Layout & { readonly isTight: boolean } {
  const chosen = useColumns();
  const exact = useExactTimes();
  const width = useWindowWidth();
  const isPhone = width <= PHONE_WIDTH;
  return useMemo(() => {
    const columns = isPhone ? ON_A_PHONE : chosen;
    const room = Math.min(width, PAGE_WIDTH) - PAGE_EDGES;
    return { columns, exact, isPhone, isTight: !isPhone && leastWidth(columns, exact) > room };
  }, [chosen, exact, isPhone, width]);
}
