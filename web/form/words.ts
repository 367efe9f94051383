import { defineWords } from "../i18n/words.ts";
import type { Expected, JsonFault } from "./json-text.ts";

const EXPECTED_EN: Readonly<Record<Expected, string>> = {
  value: "a value",
  key: "a name in double quotes",
  colon: "a colon",
  commaOrEnd: "a comma or a closing bracket",
  nothing: "the end of the text",
  stringEnd: "a closing double quote",
};

const EXPECTED_RU: Readonly<Record<Expected, string>> = {
  value: "значение",
  key: "имя в двойных кавычках",
  colon: "двоеточие",
  commaOrEnd: "запятая или закрывающая скобка",
  nothing: "конец текста",
  stringEnd: "закрывающая кавычка",
};

export const words = defineWords(
  {
    jsonFault: ({ line, column, expected }: JsonFault) =>
      `This is not JSON: expected ${EXPECTED_EN[expected]} at line ${line}, column ${column}`,
    goToError: "Go to the error",
    format: "Format",
  },
  {
    jsonFault: ({ line, column, expected }) =>
      `Это не JSON: ожидается ${EXPECTED_RU[expected]} (строка ${line}, столбец ${column})`,
    goToError: "Перейти к ошибке",
    format: "Отформатировать",
  },
);
