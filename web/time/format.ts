import { parseDurationMs } from "../../src/core/duration.ts";
import type { Language } from "../i18n/words.ts";

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["year", 31_557_600_000],
  ["month", 2_629_800_000],
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
];

const relative = {
  en: new Intl.RelativeTimeFormat("en", { numeric: "always", style: "short" }),
  ru: new Intl.RelativeTimeFormat("ru", { numeric: "always", style: "short" }),
};

/** "5 min. ago", "in 2 hr."; whole seconds below a minute, null below one second. */
export function formatRelative(language: Language, at: number, now: number): string | null {
  const ms = at - now;
  const [unit, unitMs] = STEPS.find(([, stepMs]) => Math.abs(ms) >= stepMs) ?? [null, 1];
  return unit === null ? null : relative[language].format(Math.trunc(ms / unitMs), unit);
}

const exact = {
  en: new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "medium" }),
  ru: new Intl.DateTimeFormat("ru", { dateStyle: "medium", timeStyle: "medium" }),
};

/** Date and time in the user's time zone. */
export const formatExact = (language: Language, at: number): string => exact[language].format(at);

const clocks = {
  en: new Intl.DateTimeFormat("en", { timeStyle: "short" }),
  ru: new Intl.DateTimeFormat("ru", { timeStyle: "short" }),
};

/** The time of day in the user's time zone. */
export const formatClock = (language: Language, at: number): string => clocks[language].format(at);

const UNITS = { en: { d: "d", h: "h", m: "m", s: "s" }, ru: { d: "д", h: "ч", m: "м", s: "с" } };

/** At most two units: "4m 02s", "1h 30m", "2d 04h"; below ten seconds one decimal. */
export function formatDuration(language: Language, ms: number): string {
  const { d, h, m, s } = UNITS[language];
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toLocaleString(language)}${s}`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds}${s}`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}${m} ${padded(seconds % 60)}${s}`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}${h} ${padded(minutes % 60)}${m}`;
  return `${Math.floor(hours / 24)}${d} ${padded(hours % 24)}${h}`;
}

const padded = (value: number): string => String(value).padStart(2, "0");

/** Milliseconds of a duration in the API's format; 0 if the text is not a duration. */
export const durationMs = (text: string): number => parseDurationMs(text) ?? 0;

const seconds = {
  en: new Intl.DateTimeFormat("en", { timeStyle: "medium", hourCycle: "h23" }),
  ru: new Intl.DateTimeFormat("ru", { timeStyle: "medium", hourCycle: "h23" }),
};

/** The time of day with seconds, with a fixed width for use in columns. */
export const formatSecond = (language: Language, at: number): string => seconds[language].format(at);
