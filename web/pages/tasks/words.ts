import { defineWords, plural } from "../../i18n/words.ts";

export const words = defineWords(
  {
    empty: "No tasks yet",
    emptyText: "What is submitted here or through the API shows up at once, and moves as its work goes on.",
    more: "Show more",
    time: "Time",
    anyStatus: "Any status",
    newOnes: (count: number) => plural("en", count, { one: "# new task", other: "# new tasks" }),
  },
  {
    empty: "Задач пока нет",
    emptyText: "Всё, что создано здесь или через API, появится сразу и будет меняться по ходу работы.",
    more: "Показать ещё",
    time: "Время",
    anyStatus: "Любой статус",
    newOnes: (count) =>
      plural("ru", count, { one: "# новая задача", few: "# новые задачи", other: "# новых задач" }),
  },
);
