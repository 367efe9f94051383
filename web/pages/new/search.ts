/** What the address of the new task's page says: `?from=7` fills the form with what task 7 was made of. */
import { textOf } from "../../app/search.ts";

export type NewSearch = { from?: string };

export function validateNewSearch(raw: Record<string, unknown>): NewSearch {
  const from = textOf(raw.from);
  return /^[1-9]\d{0,15}$/.test(from) ? { from } : {};
}
