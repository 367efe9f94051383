/** The selected tasks: single rows, or all tasks that match the filter, loaded or not. */
export type Selection = {
  readonly ids: ReadonlySet<number>;
  /** All tasks that match the filter are selected. */
  readonly isAll: boolean;
  /** The row where a range starts. */
  readonly anchor: number | null;
};

export const NOTHING: Selection = { ids: new Set(), isAll: false, anchor: null };

export function toggled(selection: Selection, id: number): Selection {
  const ids = new Set(selection.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, isAll: false, anchor: id };
}

/** Adds all rows between the anchor and this row, in either direction; without an anchor only this row. */
export function extended(selection: Selection, id: number, inOrder: readonly number[]): Selection {
  const from = selection.anchor === null ? -1 : inOrder.indexOf(selection.anchor);
  const to = inOrder.indexOf(id);
  if (from === -1 || to === -1) return toggled(selection, id);
  const range = inOrder.slice(Math.min(from, to), Math.max(from, to) + 1);
  return { ids: new Set([...selection.ids, ...range]), isAll: false, anchor: selection.anchor };
}

export const ofRows = (ids: readonly number[]): Selection => ({
  ids: new Set(ids),
  isAll: false,
  anchor: null,
});
