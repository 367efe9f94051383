/** Validation errors of the server, displayed at the form fields. */
import { TaskTrackError } from "../../src/client/error.ts";
import { useLanguage } from "../i18n/language.ts";
import type { Language } from "../i18n/words.ts";

/** The error text of a field by its name in the API ("backoff.base" for a nested field); null if the field has no error. */
export type Faults = (field: string) => string | null;

/** Finds the errors of a rejected request by field name. An error of a list element belongs to the list's field. */
export function useFaults(error: unknown): Faults {
  const language = useLanguage();
  const fields = error instanceof TaskTrackError ? error.fields : [];
  return (field) => {
    const pointer = `/${field.replaceAll(".", "/")}`;
    const found = fields.find((one) => one.pointer === pointer || one.pointer.startsWith(`${pointer}/`));
    return found === undefined ? null : inLanguage(language, found.detail);
  };
}

/** Whether all errors belong to fields that the form shows. Otherwise the form shows the error below its fields. */
export const isShownAtFields = (error: unknown, shown: readonly string[]): boolean =>
  error instanceof TaskTrackError &&
  error.fields.length > 0 &&
  error.fieldsOmitted === 0 &&
  error.fields.every(({ pointer }) => shown.includes(pointer.split("/")[1] ?? ""));

/** The API speaks English; these are the sentences that a form can bring about. Others stay as they are. */
const RUSSIAN: readonly (readonly [RegExp, string])[] = [
  [/^must not be empty$/, "не должно быть пустым"],
  [/^must be at most (\d+) characters long, is (\d+)$/, "не длиннее $1 символов, а здесь $2"],
  [/^must be at most (\d+) tags$/, "не больше $1 меток"],
  [/^must be a whole number from (-?\d+) to (\d+)$/, "должно быть целым числом от $1 до $2"],
  [/^must be an? (?:number|int|integer)$/, "должно быть целым числом"],
  [
    /^must be 1 to (\d+) letters, digits, dots, underscores and hyphens$/,
    "от 1 до $1 латинских букв, цифр, точек, подчёркиваний и дефисов",
  ],
  [/^must be a duration such as .*$/, "должно быть длительностью: 250ms, 30s, 1h30m"],
  [/^must be a duration of at least 1ms.*$/, "должно быть длительностью не меньше 1ms, например 90s"],
  [/^must be an RFC 3339 time.*$/, "должно быть временем"],
  [/^must be a date that exists: (\S+) has (\d+) days.*$/, "нет такой даты: в месяце $1 дней: $2"],
  [/^must (?:have a year|be a time from the year) .*$/, "год должен быть от 0001 до 9999"],
  [/^must not be given beside run_at$/, "нельзя указать вместе со временем начала"],
  [/^must not contain the character NUL$/, "не должно содержать символ NUL"],
  [/^must not contain a lone surrogate$/, "содержит половину символа (одиночный суррогат)"],
];

function inLanguage(language: Language, detail: string): string {
  if (language === "en") return detail;
  const [pattern, words] = RUSSIAN.find(([one]) => one.test(detail)) ?? [/$^/, ""];
  return detail.replace(pattern, words);
}
