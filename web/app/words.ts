import { defineWords } from "../i18n/words.ts";

export const words = defineWords(
  {
    skip: "Skip to the content",
    mainNavigation: "Main",
    language: "Language",
    help: "Keyboard shortcuts",
    away: "The server does not answer. The data on this page may be out of date. The page updates automatically when the server answers again.",
  },
  {
    skip: "К содержимому",
    mainNavigation: "Главная навигация",
    language: "Язык",
    help: "Горячие клавиши",
    away: "Сервер не отвечает. Данные на странице могли устареть. Страница обновится автоматически, когда сервер снова ответит.",
  },
);
