/**
 * Words in each language. Each page and each shared part has a `words.ts` of its own, so that they are loaded with it. A key
 * that a language lacks, or that takes other parameters there, does not compile. No library: what would be left for one is
 * these lines, and a format of messages that the compiler does not see through.
 */

export const LANGUAGES = ["en", "ru"] as const;
export type Language = (typeof LANGUAGES)[number];

/** A text, or a function that makes one of whatever it takes. */
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
  en: en as SameKeys<Words>, // a text is a string, whichever
  ru,
});

type Forms = { readonly one: string; readonly few?: string; readonly other: string };

/** The form for this many, with `#` replaced by the number; in Russian `other` is also what the rules call "many". */
export function plural(language: Language, count: number, forms: Forms): string {
  const rule = pluralRules[language].select(count);
  const form = rule === "one" ? forms.one : rule === "few" ? (forms.few ?? forms.other) : forms.other;
  return form.replace("#", numbers[language].format(count));
}

const pluralRules = { en: new Intl.PluralRules("en"), ru: new Intl.PluralRules("ru") };
const numbers = { en: new Intl.NumberFormat("en"), ru: new Intl.NumberFormat("ru") };

/** A number with the language's separators. */
export const formatNumber = (language: Language, value: number): string => numbers[language].format(value);
