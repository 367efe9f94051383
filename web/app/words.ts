import { defineWords } from "../i18n/words.ts";

export const words = defineWords(
  {
    skip: "Skip to the content",
    mainNavigation: "Main",
    language: "Language",
    help: "Keyboard shortcuts",
    away: "The server does not answer. What you see may be out of date; it goes on by itself when the server is back.",
  },
  {
    skip: "К содержимому",
    mainNavigation: "Главная навигация",
    language: "Язык",
    help: "Клавиши",
    away: "Сервер не отвечает. Данные на экране могли устареть; страница продолжит сама, когда он вернётся.",
  },
);
