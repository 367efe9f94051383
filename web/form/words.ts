import { defineWords } from "../i18n/words.ts";
import type { Expected, JsonFault } from "./json-text.ts";

const EXPECTED_EN: Readonly<Record<Expected, string>> = {
  value: "a value should stand",
  key: "a name in double quotes should stand",
  colon: "a colon should stand",
  commaOrEnd: "a comma or a closing bracket should stand",
  nothing: "the text should end",
  stringEnd: "the string breaks off",
};

const EXPECTED_RU: Readonly<Record<Expected, string>> = {
  value: "должно стоять значение",
  key: "должно стоять имя в двойных кавычках",
  colon: "должно стоять двоеточие",
  commaOrEnd: "должна стоять запятая или закрывающая скобка",
  nothing: "текст должен закончиться",
  stringEnd: "обрывается строка",
};

export const words = defineWords(
  {
    jsonFault: ({ line, column, expected }: JsonFault) =>
      `This is not JSON: at line ${line}, column ${column} ${EXPECTED_EN[expected]}`,
    goThere: "Go there",
    format: "Format",
  },
  {
    jsonFault: ({ line, column, expected }) =>
      `Это не JSON: в строке ${line}, столбце ${column} ${EXPECTED_RU[expected]}`,
    goThere: "Перейти туда",
    format: "Отформатировать",
  },
);
