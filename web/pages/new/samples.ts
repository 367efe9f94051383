/** Sample tasks for an empty list. They have the default type "simulate", the only type of a server without handlers. */
import type { Client, TaskSpec } from "../../../src/client/client.ts";
import type { Language } from "../../i18n/words.ts";

type Sample = Omit<TaskSpec, "name"> & { readonly name: Readonly<Record<Language, string>> };

const SAMPLES: readonly Sample[] = [
  {
    name: { en: "Make thumbnails of yesterday's photos", ru: "Сделать миниатюры вчерашних фото" },
    payload: { folder: "photos/yesterday", sizes: [320, 640, 1280], format: "webp" },
    tags: ["images"],
    priority: 10,
  },
  {
    name: { en: "Monthly report for accounting", ru: "Месячный отчёт для бухгалтерии" },
    payload: { month: "last", format: "pdf", recipients: ["accounting@example.org"] },
    tags: ["reports", "monthly"],
    max_attempts: 3,
    backoff: { base: "5s", max: "1m" },
  },
  {
    name: { en: "Transcribe the interview", ru: "Расшифровать интервью" },
    payload: { audio: "interview-07.ogg", language: "en", speakers: 2 },
    tags: ["audio"],
    timeout: "10m",
  },
  {
    name: { en: "Send the newsletter", ru: "Разослать новости" },
    payload: {
      template: "november",
      segments: [
        { name: "weekly", size: 4_210 },
        { name: "all", size: 18_344 },
      ],
    },
    tags: ["mail"],
    delay: "2m",
  },
  {
    name: { en: "Rebuild the search index", ru: "Перестроить поисковый индекс" },
    payload: { index: "products", shards: 4 },
    tags: ["nightly"],
    priority: -10,
    max_attempts: 5,
  },
  {
    name: { en: "Clean up old uploads", ru: "Убрать старые загрузки" },
    payload: { older_than_days: 30, dry_run: true },
    tags: ["nightly", "cleanup"],
    delay: "10s",
  },
];

/** Creates all samples or none; resolves with their ids. */
export const addSamples = (client: Client, language: Language = "en"): Promise<readonly number[]> =>
  client.createMany(SAMPLES.map((sample) => ({ ...sample, name: sample.name[language] })));
