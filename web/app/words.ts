import { defineWords } from "../i18n/words.ts";

export const words = defineWords(
  {
    skip: "Skip to the content",
    mainNavigation: "Main",
    language: "Language",
    help: "Keyboard shortcuts",
    away: "The server does not answer. What you see may be out of date; the page updates by itself when the server is back.",
  },
  {
    skip: "К содержимому",
    mainNavigation: "Главная навигация",
    language: "Язык",
    help: "Горячие клавиши",
    away: "Сервер не отвечает. Данные на экране могли устареть; страница обновится сама, когда сервер снова ответит.",
  },
);
