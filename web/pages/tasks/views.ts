/** Filters with a name: some that everybody has, and those that this browser keeps. */
import { useSyncExternalStore } from "react";
import { createCell } from "../../app/cell.ts";
import { parseSearch, stringifySearch } from "../../app/search.ts";
import { readSetting, writeSetting } from "../../app/settings.ts";
import { type TasksSearch, validateTasksSearch } from "./search.ts";

export type View = { readonly name: string; readonly search: TasksSearch };

const SETTING = "tasks.views";

/** Kept as addresses, so that a view is read like any link. */
type Kept = { readonly name: string; readonly address: string };

const isKept = (value: unknown): value is Kept =>
  typeof value === "object" &&
  value !== null &&
  "name" in value &&
  typeof value.name === "string" &&
  "address" in value &&
  typeof value.address === "string";

function read(): readonly View[] {
  try {
    const kept: unknown = JSON.parse(readSetting(SETTING) ?? "[]");
    if (!Array.isArray(kept)) return [];
    return kept
      .filter(isKept)
      .map(({ name, address }) => ({ name, search: validateTasksSearch(parseSearch(address)) }));
  } catch {
    return []; // another program has written there
  }
}

const views = createCell(read());

export const useViews = (): readonly View[] => useSyncExternalStore(views.subscribe, views.get);

function keep(next: readonly View[]): void {
  const kept: Kept[] = next.map(({ name, search }) => ({ name, address: stringifySearch(search) }));
  writeSetting(SETTING, JSON.stringify(kept));
  views.set(next);
}

/** In place of one with the same name. */
export const saveView = (view: View): void =>
  keep([...views.get().filter(({ name }) => name !== view.name), view]);

export const forgetView = (name: string): void => keep(views.get().filter((view) => view.name !== name));

export const isSame = (one: TasksSearch, other: TasksSearch): boolean =>
  stringifySearch(sorted(one)) === stringifySearch(sorted(other));

const sorted = (search: TasksSearch): Record<string, unknown> =>
  Object.fromEntries(Object.entries(search).sort(([a], [b]) => (a < b ? -1 : 1)));
