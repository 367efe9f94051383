import { defineWords } from "../i18n/words.ts";

export const words = defineWords(
  {
    title: "Keyboard shortcuts",
    help: "Show this list",
    toTasks: "Go to the tasks",
    toOverview: "Go to the overview",
    toNew: "New task",
    enabled: "Single-key shortcuts are on",
    followedBy: "then",
  },
  {
    title: "Горячие клавиши",
    help: "Показать этот список",
    toTasks: "Перейти к задачам",
    toOverview: "Перейти к обзору",
    toNew: "Новая задача",
    enabled: "Горячие клавиши включены",
    followedBy: "затем",
  },
);
