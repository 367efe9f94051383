import { useSyncExternalStore } from "react";
import { createCell } from "../app/cell.ts";
import { readSetting, writeSetting } from "../app/settings.ts";
import { type Dictionary, LANGUAGES, type Language } from "./words.ts";

const SETTING = "language";

/** The user's choice, else the first supported language of the browser, else English. */
function initialLanguage(): Language {
  const codes = [readSetting(SETTING) ?? "", ...navigator.languages].map((code) => code.slice(0, 2));
  return codes.map((code) => LANGUAGES.find((language) => language === code)).find((found) => found) ?? "en";
}

const language = createCell<Language>(initialLanguage());

const show = (chosen: Language): void => {
  document.documentElement.lang = chosen;
};
show(language.get());

export function chooseLanguage(chosen: Language): void {
  writeSetting(SETTING, chosen);
  language.set(chosen);
  show(chosen);
}

export const useLanguage = (): Language => useSyncExternalStore(language.subscribe, language.get);

/** The texts of a dictionary in the user's language: `const t = useWords(words)`, then `t.title`. */
export const useWords = <Words>(dictionary: Dictionary<Words>): Dictionary<Words>[Language] =>
  dictionary[useLanguage()];
