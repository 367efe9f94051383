import { cutTo, padLeftTo, padTo, widthOf } from "./text.ts";

export type Cell = {
  readonly text: string;
  /** Applied to the padded cell, so that colours do not count as width. */
  readonly paint?: ((text: string) => string) | undefined;
};

export type Column = {
  readonly title: string;
  readonly align?: "right";
  /** The column may shrink to this width; without it, it is never cut. */
  readonly least?: number;
  /** If the shrunk columns do not fit, columns are left out, the lowest number first; without a number, the column stays. */
  readonly goes?: number;
};

/** The shown columns and their widths. */
export type Layout = readonly { readonly at: number; readonly column: Column; readonly width: number }[];

const GAP = 2;

/** The layout of these rows in lines of this width. */
export function layOut(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  width: number,
): Layout {
  const wanted = columns.map((column, at) => ({
    ...{ at, column },
    width: Math.max(widthOf(column.title), widest(rows, at)),
  }));
  return narrowed(whatStays(wanted, width), width);
}

const widest = (rows: readonly (readonly Cell[])[], at: number): number =>
  rows.reduce((most, row) => Math.max(most, widthOf(row[at]?.text ?? "")), 0);

function whatStays(layout: Layout, width: number): Layout {
  const least = layout.map((one) => ({ ...one, width: Math.min(one.width, one.column.least ?? one.width) }));
  if (totalOf(least) <= width) return layout;
  const goes = ({ column }: Layout[number]): number => column.goes ?? Number.POSITIVE_INFINITY;
  const first = Math.min(...layout.map(goes));
  if (first === Number.POSITIVE_INFINITY) return layout;
  return whatStays(
    layout.filter((one) => goes(one) !== first),
    width,
  );
}

const totalOf = (layout: Layout): number =>
  layout.reduce((sum, one) => sum + one.width, 0) + GAP * (layout.length - 1);

/** Shrinks the widest column again and again, until all fit or none may shrink. */
function narrowed(layout: Layout, width: number): Layout {
  const widths = layout.map((one) => one.width);
  for (let excess = totalOf(layout) - width; excess > 0; excess--) {
    let widestAt = -1;
    for (const [at, { column }] of layout.entries()) {
      const own = widths[at] ?? 0;
      if (own > (column.least ?? own) && own > (widths[widestAt] ?? 0)) widestAt = at;
    }
    if (widestAt === -1) break;
    widths[widestAt] = (widths[widestAt] ?? 0) - 1;
  }
  return layout.map((one, at) => ({ ...one, width: widths[at] ?? one.width }));
}

export const titleLine = (layout: Layout): string => lineOf(layout, ({ column }) => ({ text: column.title }));

export const rowLine = (layout: Layout, row: readonly Cell[]): string =>
  lineOf(layout, ({ at }) => row[at] ?? { text: "" });

function lineOf(layout: Layout, cellOf: (place: Layout[number]) => Cell): string {
  const cells = layout.map((place, position) => {
    const { column, width } = place;
    const { text, paint = same } = cellOf(place);
    const cut = column.least === undefined ? text : cutTo(text, width);
    if (column.align === "right") return paint(padLeftTo(cut, width));
    return paint(position === layout.length - 1 ? cut : padTo(cut, width));
  });
  return cells.join(" ".repeat(GAP)).trimEnd();
}

const same = (text: string): string => text;
