/** The query of the new-task page: `?from=7` fills the form with the fields of task 7. */
import { textOf } from "../../app/search.ts";

export type NewSearch = { from?: string };

export function validateNewSearch(raw: Record<string, unknown>): NewSearch {
  const from = textOf(raw.from);
  return /^[1-9]\d{0,15}$/.test(from) ? { from } : {};
}
