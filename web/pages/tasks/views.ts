/** The user's saved views: named filters in localStorage. */
import { useSyncExternalStore } from "react";
import { createCell } from "../../app/cell.ts";
import { parseSearch, stringifySearch } from "../../app/search.ts";
import { readSetting, writeSetting } from "../../app/settings.ts";
import { type TasksSearch, validateTasksSearch } from "./search.ts";

export type View = { readonly name: string; readonly search: TasksSearch };

const SETTING = "tasks.views";

/** Stored as query strings, so that a view is validated like any link. */
type Stored = { readonly name: string; readonly address: string };

const isStored = (value: unknown): value is Stored =>
  typeof value === "object" &&
  value !== null &&
  "name" in value &&
  typeof value.name === "string" &&
  "address" in value &&
  typeof value.address === "string";

function read(): readonly View[] {
  try {
    const stored: unknown = JSON.parse(readSetting(SETTING) ?? "[]");
    if (!Array.isArray(stored)) return [];
    return stored
      .filter(isStored)
      .map(({ name, address }) => ({ name, search: validateTasksSearch(parseSearch(address)) }));
  } catch {
    return []; // the stored text is not JSON
  }
}

const views = createCell(read());

export const useViews = (): readonly View[] => useSyncExternalStore(views.subscribe, views.get);

function keep(next: readonly View[]): void {
  const stored: Stored[] = next.map(({ name, search }) => ({ name, address: stringifySearch(search) }));
  writeSetting(SETTING, JSON.stringify(stored));
  views.set(next);
}

/** Replaces a view with the same name. */
export const saveView = (view: View): void =>
  keep([...views.get().filter(({ name }) => name !== view.name), view]);

export const deleteView = (name: string): void => keep(views.get().filter((view) => view.name !== name));

export const isSame = (one: TasksSearch, other: TasksSearch): boolean =>
  stringifySearch(sorted(one)) === stringifySearch(sorted(other));

const sorted = (search: TasksSearch): Record<string, unknown> =>
  Object.fromEntries(Object.entries(search).sort(([a], [b]) => (a < b ? -1 : 1)));
