import type { AttemptOutcome } from "../../../src/client/client.ts";
import { defineWords, plural } from "../../i18n/words.ts";

export const words = defineWords(
  {
    noPayload: "No payload",
    result: "Result",
    noResult: "No result",
    unreadableName: "(a name without visible characters)",
    actions: "Actions",
    duplicate: "Duplicate",
    deleted: "This task was deleted. The page shows its last state.",
    titleRunning: (percent: number) => `${percent}%`,

    noIdTitle: "This is not a task id",
    noIdText: (text: string) => `Task ids are whole numbers, but the address contains “${text}”.`,
    unknownTitle: (id: number) => `There is no task ${id}`,
    unknownText: "Task not found: it was deleted or never existed.",

    deleteTitle: (name: string) => `Delete “${name}”?`,
    deleteText:
      "The task's history is deleted too. If the task is running, it is aborted. This cannot be undone.",
    cancelTitle: (name: string) => `Cancel “${name}”?`,
    cancelText:
      "The task is running. Its worker gets a cancel request and has 30 seconds to stop. The work done so far is lost.",
    cancelAction: "Cancel the task",
    retryTitle: (name: string) => `Run “${name}” again?`,
    retryText: "The task is done. It will run again, and the new result will replace the current one.",
    retryAction: "Run again",

    facts: "Details",
    noTimeout: "none",
    attemptOf: (attempt: number, most: number) => `${attempt} of ${most}`,
    updated: "Changed",
    version: (version: number) => `version ${version}`,
    showTasks: (what: string) => `Show tasks with ${what}`,

    why: "Why the task is in this state",
    notDue: "Waiting for the scheduled start:",
    notDueRetry: (failures: number) =>
      plural("en", failures, {
        one: "Failed once; next attempt:",
        other: "Failed # times; next attempt:",
      }),
    noWorker: (type: string) =>
      `Ready to run, but no worker that was active in the last minute takes tasks of type “${type}”.`,
    waitingForSlot: (ahead: string) =>
      `Waiting for a free worker. Tasks of this type before it in the queue: ${ahead}.`,
    first: "Waiting for a free worker. It is the first task of its type in the queue.",
    aboutToStart: "First in the queue: a worker is about to take the task.",
    runningOn: (worker: string, attempt: number) => `Running on worker ${worker}, attempt ${attempt}.`,
    cancelRequested: (worker: string) =>
      `Cancellation was requested. Worker ${worker} has up to 30 seconds to stop.`,
    workerSilent: (worker: string) =>
      `Worker ${worker} does not respond. If it stays silent, another worker gets the task:`,
    workerSilentTooLong: (worker: string) =>
      `Worker ${worker} does not respond. Another worker will get the task soon.`,
    endedDone: "The task is done.",
    endedFailed: "The task failed.",
    endedCancelled: "The task was cancelled.",
    atLeast: (count: string) => `at least ${count}`,
    takers: (count: number) =>
      plural("en", count, { one: "# worker takes this type:", other: "# workers take this type:" }),

    timeline: "Timeline",
    cut: "Earlier attempts are no longer stored.",
    attempt: (attempt: number) => `Attempt ${attempt}`,
    waited: "waited",
    ran: "ran",
    waitingStep: "waiting",
    runningStep: "running",
    withdrawnStep: "cancelled before it started",
    againStep: "Retried manually",
    nextAt: "next attempt",
    on: (worker: string) => `on ${worker}`,

    log: "Log",
    logEmpty: "No log lines yet",
    logEmptyText: "Log lines of the handler appear here.",
    logNothing: "No line matches the filter.",
    follow: "Go to the latest line",
    newLines: (count: number) => plural("en", count, { one: "# new line", other: "# new lines" }),
    level: "Level",
    allLevels: "All levels",
    infoUp: "Info and above",
    warnUp: "Warnings and errors",
    errorUp: "Errors",
    filterLog: "Filter the lines",
    lines: (shown: number, all: number) =>
      shown === all
        ? plural("en", all, { one: "# line", other: "# lines" })
        : plural("en", all, { one: `${shown} of # line`, other: `${shown} of # lines` }),
    copyLog: "Copy the visible lines",

    editTitle: "Edit the task",
    editOnlyPending:
      "Payload, priority, scheduled start, timeout and maximum attempts can be changed only while the task is pending. Name, description, tags and labels can be changed at any time.",
    timeoutHint: "For one attempt, for example 90s or 5m. Empty: no timeout",
    conflict: "This task was changed after you opened the form.",
    conflictFields: (fields: string) => `Changed fields: ${fields}.`,
    discard: "Discard my changes",
    overwrite: "Overwrite with my changes",
    saved: "Saved",

    curl: "The same with curl",
    curlText: "The same actions as terminal commands.",
    curlRead: "Get the task",
    curlLog: "Get the log",
    curlExplain: "Explain the state",
    curlEditName: "new name",
    curlTooLong: "Too long for a command line.",
    previous: "Previous task in the list",
    next: "Next task in the list",
  },
  {
    noPayload: "Нет входных данных",
    result: "Результат",
    noResult: "Нет результата",
    unreadableName: "(название без видимых символов)",
    actions: "Действия",
    duplicate: "Дублировать",
    deleted: "Эта задача удалена. Страница показывает её последнее состояние.",
    titleRunning: (percent) => `${percent}%`,

    noIdTitle: "Это не номер задачи",
    noIdText: (text) => `Номер задачи — целое число, а в адресе указано «${text}».`,
    unknownTitle: (id) => `Задачи ${id} нет`,
    unknownText: "Задача не найдена: она удалена или никогда не существовала.",

    deleteTitle: (name) => `Удалить «${name}»?`,
    deleteText:
      "История задачи тоже будет удалена. Если задача выполняется, она будет прервана. Отменить удаление нельзя.",
    cancelTitle: (name) => `Отменить «${name}»?`,
    cancelText:
      "Задача выполняется. Исполнитель получит запрос на отмену и должен остановиться за 30 секунд. Уже сделанная работа будет потеряна.",
    cancelAction: "Отменить задачу",
    retryTitle: (name) => `Выполнить «${name}» ещё раз?`,
    retryText: "Задача выполнена. Она выполнится ещё раз, и новый результат заменит текущий.",
    retryAction: "Выполнить ещё раз",

    facts: "Сведения",
    noTimeout: "нет",
    attemptOf: (attempt, most) => `${attempt} из ${most}`,
    updated: "Изменена",
    version: (version) => `версия ${version}`,
    showTasks: (what) => `Показать задачи: ${what}`,

    why: "Почему задача в этом состоянии",
    notDue: "Ожидает времени запуска:",
    notDueRetry: (failures) =>
      plural("ru", failures, {
        one: "# попытка с ошибкой; следующая попытка:",
        few: "# попытки с ошибкой; следующая попытка:",
        other: "# попыток с ошибкой; следующая попытка:",
      }),
    noWorker: (type) =>
      `Готова к запуску, но за последнюю минуту не было активного исполнителя для задач типа «${type}».`,
    waitingForSlot: (ahead) =>
      `Ожидает свободного исполнителя. Задач этого типа перед ней в очереди: ${ahead}.`,
    first: "Ожидает свободного исполнителя. Это первая задача своего типа в очереди.",
    aboutToStart: "Первая в очереди: исполнитель сейчас возьмёт задачу.",
    runningOn: (worker, attempt) => `Выполняется: исполнитель ${worker}, попытка ${attempt}.`,
    cancelRequested: (worker) =>
      `Запрошена отмена. У исполнителя ${worker} есть до 30 секунд, чтобы остановиться.`,
    workerSilent: (worker) =>
      `Исполнитель ${worker} не отвечает. Если ответа не будет, задачу получит другой исполнитель:`,
    workerSilentTooLong: (worker) =>
      `Исполнитель ${worker} не отвечает. Скоро задачу получит другой исполнитель.`,
    endedDone: "Задача выполнена.",
    endedFailed: "Задача завершилась ошибкой.",
    endedCancelled: "Задача отменена.",
    atLeast: (count) => `не меньше ${count}`,
    takers: (count) =>
      plural("ru", count, {
        one: "Такие задачи берёт # исполнитель:",
        few: "Такие задачи берут # исполнителя:",
        other: "Такие задачи берут # исполнителей:",
      }),

    timeline: "Хронология",
    cut: "Более ранние попытки больше не хранятся.",
    attempt: (attempt) => `Попытка ${attempt}`,
    waited: "ожидание",
    ran: "выполнение",
    waitingStep: "ожидает",
    runningStep: "выполняется",
    withdrawnStep: "отменена до запуска",
    againStep: "Повторена вручную",
    nextAt: "следующая попытка",
    on: (worker) => `исполнитель ${worker}`,

    log: "Журнал",
    logEmpty: "Строк журнала пока нет",
    logEmptyText: "Здесь появятся строки журнала от обработчика.",
    logNothing: "Под фильтр не подходит ни одна строка.",
    follow: "К последней строке",
    newLines: (count) =>
      plural("ru", count, { one: "# новая строка", few: "# новые строки", other: "# новых строк" }),
    level: "Уровень",
    allLevels: "Все уровни",
    infoUp: "Info и выше",
    warnUp: "Предупреждения и ошибки",
    errorUp: "Ошибки",
    filterLog: "Фильтр строк",
    lines: (shown, all) =>
      shown === all
        ? plural("ru", all, { one: "# строка", few: "# строки", other: "# строк" })
        : plural("ru", all, {
            one: `${shown} из # строки`,
            few: `${shown} из # строк`,
            other: `${shown} из # строк`,
          }),
    copyLog: "Скопировать видимые строки",

    editTitle: "Изменить задачу",
    editOnlyPending:
      "Входные данные, приоритет, время запуска, тайм-аут и максимум попыток можно изменить, только пока задача ожидает. Название, описание, метки и ярлыки можно изменить всегда.",
    timeoutHint: "На одну попытку, например 90s или 5m. Пусто: без тайм-аута",
    conflict: "Задача была изменена после того, как вы открыли форму.",
    conflictFields: (fields) => `Изменённые поля: ${fields}.`,
    discard: "Отбросить мои изменения",
    overwrite: "Перезаписать моими изменениями",
    saved: "Сохранено",

    curl: "То же через curl",
    curlText: "Те же действия командами терминала.",
    curlRead: "Получить задачу",
    curlLog: "Получить журнал",
    curlExplain: "Объяснить состояние",
    curlEditName: "новое название",
    curlTooLong: "Слишком длинно для командной строки.",
    previous: "Предыдущая задача в списке",
    next: "Следующая задача в списке",
  },
);

export const outcomeWords = defineWords<Record<AttemptOutcome, string>>(
  {
    done: "done",
    failed: "failed",
    released: "returned to the queue",
    lost: "worker lost",
    cancelled: "cancelled",
  },
  {
    done: "готово",
    failed: "ошибка",
    released: "возвращена в очередь",
    lost: "исполнитель потерян",
    cancelled: "отменена",
  },
);
