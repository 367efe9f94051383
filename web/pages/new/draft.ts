/** Saves the unsent form over a reload. There is one draft per browser. */
import { readSetting, writeSetting } from "../../app/settings.ts";
import { EMPTY, type Form } from "./form.ts";

const SETTING = "new-task.draft";
/** Characters. Longer drafts are not saved, because localStorage holds only a few megabytes. */
const LONGEST = 500_000;

/** The draft for a form that starts from the task `from` ("" for an empty form), or null. */
export function readDraft(from: string): Form | null {
  try {
    const kept: unknown = JSON.parse(readSetting(SETTING) ?? "null");
    return isDraft(kept) && kept.from === from ? { ...EMPTY, ...kept.form } : null;
  } catch {
    return null; // the stored text is not JSON
  }
}

export function keepDraft(from: string, form: Form): void {
  const text = JSON.stringify({ from, form });
  if (text.length <= LONGEST) writeSetting(SETTING, text);
}

export const dropDraft = (): void => writeSetting(SETTING, "");

/** An older version of the page may have saved fields of other types: such a draft is ignored. */
function isDraft(kept: unknown): kept is { readonly from: string; readonly form: Partial<Form> } {
  if (typeof kept !== "object" || kept === null || !("from" in kept) || !("form" in kept)) return false;
  const { form } = kept;
  if (typeof form !== "object" || form === null) return false;
  return Object.entries(EMPTY).every(([name, empty]) => {
    const value: unknown = Reflect.get(form, name);
    return value === undefined || (Array.isArray(empty) ? isTexts(value) : typeof value === typeof empty);
  });
}

const isTexts = (value: unknown): boolean =>
  Array.isArray(value) && value.every((one) => typeof one === "string");
