import { defineWords } from "../../i18n/words.ts";

export const words = defineWords({ doneByMinute: "Done, by minute" }, { doneByMinute: "Готово по минутам" });
