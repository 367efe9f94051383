import { useSyncExternalStore } from "react";
import { createCell } from "../app/cell.ts";
import { readSetting, writeSetting } from "../app/settings.ts";
import { type Dictionary, LANGUAGES, type Language } from "./words.ts";

const SETTING = "language";

/** The reader's choice, else the first language of their browser that is spoken here, else English. */
function initialLanguage(): Language {
  const wishes = [readSetting(SETTING) ?? "", ...navigator.languages].map((wish) => wish.slice(0, 2));
  return wishes.map((wish) => LANGUAGES.find((language) => language === wish)).find((found) => found) ?? "en";
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

/** The words of a dictionary in the reader's language: `const t = useWords(words)`, then `t.title`. */
export const useWords = <Words>(dictionary: Dictionary<Words>): Dictionary<Words>[Language] =>
  dictionary[useLanguage()];
