import { defineWords } from "../../i18n/words.ts";

export const words = defineWords({ payload: "Payload" }, { payload: "Входные данные" });
