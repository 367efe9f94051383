/**
 * UI texts in each language. Each page and each shared part has its own `words.ts`, which is loaded with it. The compiler rejects a
 * key that is missing in a language or takes other parameters there. No i18n library: its message format would not be type-checked,
 * and these lines do the rest. docs/ui.md has the glossary of the UI terms in both languages.
 */

export const LANGUAGES = ["en", "ru"] as const;
export type Language = (typeof LANGUAGES)[number];

/** A text, or a function that returns a text. */
type Entry = string | ((...values: never[]) => string);
type SameKeys<Words> = { readonly [Key in keyof Words]: Words[Key] extends string ? string : Words[Key] };

export type Dictionary<Words> = Readonly<Record<Language, SameKeys<Words>>>;

/**
 * @example
 * export const words = defineWords(
 *   { title: "Tasks", found: (count: number) => plural("en", count, { one: "# task", other: "# tasks" }) },
 *   { title: "Задачи", found: (count) => plural("ru", count, { one: "# задача", few: "# задачи", other: "# задач" }) },
 * );
 */
export const defineWords = <Words extends Readonly<Record<string, Entry>>>(
  en: Words,
  ru: SameKeys<NoInfer<Words>>,
): Dictionary<Words> => ({
  en: en as SameKeys<Words>, // widens literal types to string
  ru,
});

type Forms = { readonly one: string; readonly few?: string; readonly other: string };

/** The plural form for a count, with `#` replaced by the number. In Russian `other` also serves the category "many". */
export function plural(language: Language, count: number, forms: Forms): string {
  const rule = pluralRules[language].select(count);
  const form = rule === "one" ? forms.one : rule === "few" ? (forms.few ?? forms.other) : forms.other;
  return form.replace("#", numbers[language].format(count));
}

const pluralRules = { en: new Intl.PluralRules("en"), ru: new Intl.PluralRules("ru") };
const numbers = { en: new Intl.NumberFormat("en"), ru: new Intl.NumberFormat("ru") };

/** A number with the separators of the language. */
export const formatNumber = (language: Language, value: number): string => numbers[language].format(value);
