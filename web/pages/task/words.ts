import { defineWords } from "../../i18n/words.ts";

export const words = defineWords(
  {
    payload: "Payload",
    actions: "Actions",
    gone: "This task has been deleted. What you see is its last state.",
    deleteTitle: (name: string) => `Delete “${name}”?`,
    deleteText: "Its history goes with it. If it runs, its work is aborted. This cannot be undone.",
  },
  {
    payload: "Входные данные",
    actions: "Действия",
    gone: "Эта задача удалена. На экране её последнее состояние.",
    deleteTitle: (name) => `Удалить «${name}»?`,
    deleteText: "История исчезнет вместе с ней. Если она выполняется, работа прервётся. Вернуть её нельзя.",
  },
);
