import { defineWords } from "../i18n/words.ts";

export const words = defineWords(
  {
    title: "Keyboard shortcuts",
    help: "Show this sheet",
    toTasks: "Go to the tasks",
    toOverview: "Go to the overview",
    toNew: "New task",
    enabled: "Single-key shortcuts are on",
    followedBy: "then",
  },
  {
    title: "Клавиши",
    help: "Показать этот список",
    toTasks: "Перейти к задачам",
    toOverview: "Перейти к обзору",
    toNew: "Новая задача",
    enabled: "Клавиши включены",
    followedBy: "затем",
  },
);
