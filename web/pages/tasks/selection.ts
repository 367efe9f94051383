/** Which rows are selected: some by hand, or whatever the filter takes, seen or not. */
export type Selection = {
  readonly ids: ReadonlySet<number>;
  /** Not only rows: all that the filter takes. */
  readonly isAll: boolean;
  /** Where a range begins. */
  readonly anchor: number | null;
};

export const NOTHING: Selection = { ids: new Set(), isAll: false, anchor: null };

export function toggled(selection: Selection, id: number): Selection {
  const ids = new Set(selection.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, isAll: false, anchor: id };
}

/** From the anchor to this one, whichever comes first; without an anchor this one alone. */
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
