/** The columns of the table, their widths, and the user's choice of columns. */
import { useSyncExternalStore } from "react";
import type { Sort } from "../../../src/client/client.ts";
import { createCell } from "../../app/cell.ts";
import { readSetting, writeSetting } from "../../app/settings.ts";

export const COLUMNS = [
  { id: "id", width: 96, isFirst: true },
  { id: "name", width: 256, isFirst: true },
  { id: "status", width: 160, isFirst: true },
  { id: "type", width: 144, isFirst: true },
  { id: "tags", width: 176, isFirst: true },
  { id: "progress", width: 148, isFirst: true },
  { id: "priority", width: 112, isFirst: false },
  { id: "attempt", width: 92, isFirst: false },
  { id: "duration", width: 136, isFirst: true },
  { id: "created", width: 136, isFirst: true },
  { id: "started", width: 136, isFirst: false },
  { id: "finished", width: 136, isFirst: false },
] as const;

export type ColumnId = (typeof COLUMNS)[number]["id"];

/** This column cannot be hidden: it identifies the row. */
export const ALWAYS: ColumnId = "name";
/** The columns on a phone. The second line of each row shows other fields. */
export const ON_A_PHONE: readonly ColumnId[] = ["name", "status"];

/** Exact times need more width than relative ones. */
const EXACT_TIME_WIDTH = 196;
const SELECT_WIDTH = 44;

/** The sort orders of a click on the column header: the first, then the second. */
export const SORTED_BY: Partial<Record<ColumnId, readonly [Sort, Sort]>> = {
  id: ["-id", "id"],
  created: ["-id", "id"], // ids are assigned in the order of creation
  finished: ["-finished_at", "finished_at"],
};

export const isTime = (id: ColumnId): boolean => id === "created" || id === "started" || id === "finished";

export function widthOf(id: ColumnId, exact: boolean): number {
  if (exact && isTime(id)) return EXACT_TIME_WIDTH;
  return COLUMNS.find((column) => column.id === id)?.width ?? 0;
}

/** The minimum table width at which the name column is still readable. */
export const leastWidth = (ids: readonly ColumnId[], exact: boolean): number =>
  ids.reduce((sum, id) => sum + widthOf(id, exact), SELECT_WIDTH);

// ---- the user's choice

const COLUMNS_SETTING = "tasks.columns";
const TIMES_SETTING = "tasks.times";

const initial = (): readonly ColumnId[] => {
  const chosen = readSetting(COLUMNS_SETTING)?.split(" ");
  return COLUMNS.filter(({ id, isFirst }) => id === ALWAYS || (chosen?.includes(id) ?? isFirst)).map(
    ({ id }) => id,
  );
};

const columns = createCell(initial());
const exactTimes = createCell(readSetting(TIMES_SETTING) === "exact");

export const useColumns = (): readonly ColumnId[] => useSyncExternalStore(columns.subscribe, columns.get);
export const useExactTimes = (): boolean => useSyncExternalStore(exactTimes.subscribe, exactTimes.get);

export function showColumn(id: ColumnId, isShown: boolean): void {
  const before = columns.get();
  const chosen = COLUMNS.filter((one) => (one.id === id ? isShown : before.includes(one.id)));
  columns.set(chosen.map((one) => one.id));
  writeSetting(COLUMNS_SETTING, columns.get().join(" "));
}

export function showExactTimes(isExact: boolean): void {
  writeSetting(TIMES_SETTING, isExact ? "exact" : "relative");
  exactTimes.set(isExact);
}
