/**
 * Translates the validation errors of the API, which are English sentences. The API has no error codes per field, so the translation
 * matches the sentences. test/web/faults.test.ts fails if the server has a sentence for a form field that has no translation.
 */
import type { Language } from "../i18n/words.ts";

const RUSSIAN: readonly (readonly [RegExp, string])[] = [
  [/^must not be empty$/, "не должно быть пустым"],
  [/^must be at most (\d+) characters long, is (\d+)$/, "должно быть не длиннее $1 символов, сейчас $2"],
  [/^must be at most (\d+) tags$/, "должно быть не больше $1 меток"],
  [/^must be at most (\d+) labels$/, "должно быть не больше $1 ярлыков"],
  [
    /^must have a name of at most (\d+) letters, digits and .*$/,
    "имя: до $1 латинских букв, цифр и знаков . _ - /; первый знак — буква или цифра",
  ],
  [/^must be a whole number from (-?\d+) to (\d+)$/, "должно быть целым числом от $1 до $2"],
  [/^must be at most (\d+)$/, "должно быть не больше $1"],
  [/^must be at least (-?\d+)$/, "должно быть не меньше $1"],
  [/^must be a (?:whole )?number$/, "должно быть целым числом"],
  [
    /^must be 1 to (\d+) letters, digits, dots, underscores and hyphens$/,
    "должно содержать от 1 до $1 латинских букв, цифр, точек, подчёркиваний и дефисов",
  ],
  [
    /^must be a duration such as "250ms", "30s" or "1h30m"$/,
    "должно быть длительностью, например 250ms, 30s или 1h30m",
  ],
  [
    /^must be a duration of at least 1ms, such as "90s"$/,
    "должно быть длительностью не меньше 1ms, например 90s",
  ],
  [/^must be an RFC 3339 time such as .*$/, "должно быть датой и временем"],
  [
    /^must be a date that exists: (\S+) has (\d+) days, not (\d+)$/,
    "должно быть существующей датой: в месяце $1 дней: $2, указан день $3",
  ],
  [/^must (?:have a year|be a time) from .*0001 to 9999.*$/, "год должен быть от 0001 до 9999"],
  [/^must have a month from (\d+) to (\d+)$/, "месяц должен быть от $1 до $2"],
  [/^must have an hour from (\d+) to (\d+)$/, "часы должны быть от $1 до $2"],
  [/^must have a minute from (\d+) to (\d+)$/, "минуты должны быть от $1 до $2"],
  [/^must have a second from (\d+) to (\d+).*$/, "секунды должны быть от $1 до $2"],
  [/^must have an offset with (?:hours|minutes) from \d+ to \d+$/, "смещение часового пояса указано неверно"],
  [/^must not be given beside run_at$/, "нельзя указать вместе со временем запуска"],
  [/^must not contain the character NUL$/, "не должно содержать символ NUL"],
  [/^must not contain a lone surrogate$/, "не должно содержать одиночный суррогат UTF-16"],
];

/** The sentence in the language; null if it has no translation. */
export function translatedFault(language: Language, detail: string): string | null {
  if (language === "en") return detail;
  const found = RUSSIAN.find(([pattern]) => pattern.test(detail));
  return found === undefined ? null : detail.replace(...found);
}
