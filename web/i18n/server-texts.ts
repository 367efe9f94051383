/**
 * Translates the sentences of the server, which are English: the errors of the API, and the description of the store. A sentence
 * without a translation is shown after the meaning of its code. test/web/faults.test.ts fails if a code or one of the usual
 * sentences of the server has no translation.
 */
import type { TaskTrackError } from "../../src/client/error.ts";
import { translatedFault } from "../form/fault-texts.ts";
import { shared } from "./shared.ts";
import type { Language } from "./words.ts";

type Sentence = Pick<TaskTrackError, "code" | "message" | "fields" | "fieldsOmitted">;

/** The meanings of the codes in PROBLEM_STATUS of src/wire/problem.ts. */
const BY_CODE: Readonly<Record<string, string>> = {
  invalid: "Запрос содержит недопустимые значения",
  malformed_body: "Тело запроса не является корректным JSON",
  bad_host: "Недопустимый заголовок Host",
  forbidden_origin: "С этой страницы нельзя изменять задачи",
  forbidden_host: "Под этим именем хоста сервер недоступен для браузеров",
  not_found: "Не найдено",
  unknown_route: "По этому адресу ничего нет",
  method_not_allowed: "Этот метод здесь не поддерживается",
  wrong_status: "Статус задачи не допускает этого действия",
  key_taken: "Ключ занят другой незавершённой задачей",
  version_mismatch: "Задача уже изменена",
  lease_lost: "Задача больше не закреплена за этим исполнителем",
  body_too_large: "Тело запроса слишком большое",
  uri_too_long: "Адрес запроса слишком длинный",
  unsupported_media_type: "Этот тип содержимого не поддерживается",
  idempotency_mismatch: "Ключ идемпотентности уже использован для другого запроса",
  headers_too_large: "Заголовки запроса слишком большие",
  internal: "Внутренняя ошибка сервера",
  overloaded: "Сервер перегружен",
  store_unavailable: "Хранилище недоступно",
  store_rejected: "Хранилище отклонило запись",
  not_ready: "Сервер не готов принимать запросы",
};

/** Status words in a sentence become those of the UI. */
const STATUS = "(pending|running|done|failed|cancelled)";
const statusWord = (status = ""): string => `«${shared.ru[status as keyof typeof shared.ru]}»`; // STATUS allows only these

type Translation = readonly [RegExp, string | ((...groups: string[]) => string)];

const MESSAGES: readonly Translation[] = [
  [/^Task not found$/, "Задача не найдена"],
  [
    new RegExp(`^Task (\\d+) is already ${STATUS}$`),
    (_, id, status) => `Задача ${id} уже завершена, её статус: ${statusWord(status)}`,
  ],
  [
    new RegExp(`^Task (\\d+) is ${STATUS}; only an ended task can be retried$`),
    (_, id, status) =>
      `Повторить можно только завершённую задачу, а статус задачи ${id}: ${statusWord(status)}`,
  ],
  [
    new RegExp(`^Task (\\d+) is ${STATUS}; (.+) can be changed only while it is pending$`),
    (_, id, status, fields) =>
      `Эти поля можно изменить, только пока задача ожидает: ${fields}. Статус задачи ${id}: ${statusWord(status)}`,
  ],
  [/^Task (\d+) is now (\S+), not (\S+)$/, "Версия задачи $1 теперь $2, а не $3"],
  [/^Another live task holds the key (.+)$/, "Ключ $1 занят другой незавершённой задачей"],
  [/^The store does not answer$/, "Хранилище не отвечает"],
  [/^The server is shutting down$/, "Сервер завершает работу"],
  [
    /^The server could not answer; its log has the reason under this request id$/,
    "Сервер не смог ответить. Причина указана в его журнале под этим ID запроса",
  ],
];

const STORES: readonly Translation[] = [
  [
    /^Memory of this process: all tasks are lost when it ends$/,
    "Память этого процесса: когда он завершится, все задачи будут потеряны",
  ],
  [
    /^(.*): every answered write is on the disk( \(.*\))?$/,
    (_, store, setting = "") => `${store}: каждая подтверждённая запись уже на диске${setting}`,
  ],
  [
    /^(.*): fsync is off, a crash of its machine may destroy the data$/,
    "$1: fsync выключен, сбой компьютера может разрушить данные",
  ],
  [
    /^(.*): synchronous_commit is off, a crash may lose the last answered writes$/,
    "$1: synchronous_commit выключен, при сбое могут потеряться последние подтверждённые записи",
  ],
  [
    /^(.*): if its machine crashes, up to two seconds of answered writes may be lost (\(.*\))$/,
    "$1: при сбое компьютера могут потеряться записи, подтверждённые за последние две секунды $2",
  ],
  [
    /^(.*): if its machine crashes, some tens of seconds of answered writes may be lost (\(.*\))$/,
    "$1: при сбое компьютера могут потеряться записи, подтверждённые за последние десятки секунд $2",
  ],
  [
    /^(.*): a crash loses the answered writes since the last snapshot (\(.*\))$/,
    "$1: при сбое теряются записи, подтверждённые после последнего снимка $2",
  ],
  [
    /^(.*): a restart loses everything \(appendonly no, no snapshots\)$/,
    "$1: при перезапуске теряется всё (appendonly no, снимков нет)",
  ],
  [/^(.*): it does not report what a crash loses$/, "$1: не сообщает, что теряется при сбое"],
];

/** The error of the API as a sentence in this language. */
export function translatedError(language: Language, error: Sentence): string {
  if (language === "en") return error.message;
  const { code, message, fields, fieldsOmitted } = error;
  const faults = fields.map(
    ({ pointer, detail }) => `${pointer || "тело"} ${translatedFault(language, detail) ?? detail}`,
  );
  if (faults.length > 0 && fieldsOmitted === 0) return `${BY_CODE[code] ?? code}: ${faults.join("; ")}`;
  const known = translated(MESSAGES, message);
  if (known !== null) return known;
  const meaning = BY_CODE[code];
  return meaning === undefined ? message : `${meaning}: ${message}`;
}

/** The sentence of /readyz about the store in this language. */
export const translatedStore = (language: Language, text: string): string =>
  language === "en" ? text : (translated(STORES, text) ?? text);

function translated(table: readonly Translation[], text: string): string | null {
  const [pattern, translation] = table.find(([known]) => known.test(text)) ?? [];
  if (pattern === undefined || translation === undefined) return null;
  return typeof translation === "string"
    ? text.replace(pattern, translation)
    : text.replace(pattern, translation as (text: string, ...groups: string[]) => string);
}
