/** Validation errors of the server, displayed at the form fields. */
import { TaskTrackError } from "../../src/client/error.ts";
import { useLanguage } from "../i18n/language.ts";
import { translatedFault } from "./fault-texts.ts";

/** The error text of a field by its name in the API ("backoff.base" for a nested field); null if the field has no error. */
export type Faults = (field: string) => string | null;

/** Finds the errors of a rejected request by field name. An error of a list element belongs to the list's field. */
export function useFaults(error: unknown): Faults {
  const language = useLanguage();
  const fields = error instanceof TaskTrackError ? error.fields : [];
  return (field) => {
    const pointer = `/${field.replaceAll(".", "/")}`;
    const found = fields.find((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`));
    return found === undefined ? null : (translatedFault(language, found.detail) ?? found.detail);
  };
}

/** Whether all errors belong to fields that the form shows. Otherwise the form shows the error below its fields. */
export const isShownAtFields = (error: unknown, shown: readonly string[]): boolean =>
  error instanceof TaskTrackError &&
  error.fields.length > 0 &&
  error.fieldsOmitted === 0 &&
  error.fields.every(({ pointer }) => shown.includes(pointer.split("/")[1] ?? ""));
