/** Reads the default export of a module of handlers: an object of type → handler. */
import { parseDurationMs } from "../core/duration.ts";
import { TYPE_DEFAULTS, type TypeDefaults } from "../core/lifecycle.ts";
import { LIMITS, typeFault } from "../core/task.ts";
import type { Handler } from "../processor/handler.ts";

/**
 * A handler with the defaults of its type, for tasks that do not set these fields. Durations are written as "90s" or "10m".
 * @example { handler: encode, timeout: "30m", max_attempts: 5, backoff: { base: "10s", max: "1h" } }
 */
export type HandlerWithDefaults = {
  readonly handler: Handler;
  /** The limit of one attempt; no limit by default. */
  readonly timeout?: string;
  /** 3 by default. */
  readonly max_attempts?: number;
  /** The delay after a failed attempt: between 0 and min(max, base · 2ⁿ); 1s and 1h by default. */
  readonly backoff?: { readonly base: string; readonly max: string };
  /** The delay from the creation of a task until it is due; none by default. */
  readonly delay?: string;
};

/**
 * The default export of a handlers module.
 * @example
 * export default {
 *   "image.resize": async (task, { progress }) => { … },
 *   "video.encode": { handler: command(["ffmpeg", "-i", "{payload.input}", "out.mp4"]), timeout: "30m" },
 * } satisfies Handlers;
 */
export type Handlers = Readonly<Record<string, Handler | HandlerWithDefaults>>;

export type ReadHandlers = ReadonlyMap<
  string,
  { readonly handler: Handler; readonly defaults: TypeDefaults }
>;

/** @param exported what the module exports as default; throws TypeError with the fault */
export function readHandlers(exported: unknown): ReadHandlers {
  const entries = isObject(exported) ? Object.entries(exported) : [];
  if (entries.length === 0) {
    throw new TypeError(
      'expected a default export of handlers by type, such as { "image.resize": async (task) => … }',
    );
  }
  return new Map(entries.map(([type, value]) => [typeOf(type), readHandler(type, value)]));
}

function typeOf(type: string): string {
  const fault = typeFault(type);
  if (fault === null) return type;
  throw new TypeError(`the type ${JSON.stringify(type)} ${fault}`);
}

function readHandler(type: string, value: unknown) {
  if (isHandler(value)) return { handler: value, defaults: TYPE_DEFAULTS };
  if (!isObject(value) || !isHandler(value.handler)) {
    throw new TypeError(`"${type}": expected a function, or an object whose "handler" is one`);
  }
  const { handler, ...given } = value;
  return { handler, defaults: readDefaults(type, given) };
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Its parameters and its result cannot be checked before it is called. */
const isHandler = (value: unknown): value is Handler => typeof value === "function";

/** The longest duration that the API accepts. */
const CENTURY_MS = 100 * 365 * 86_400_000;

const FIELDS = ["timeout", "max_attempts", "backoff", "delay"];

function readDefaults(type: string, given: Readonly<Record<string, unknown>>): TypeDefaults {
  const unknown = Object.keys(given).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined)
    throw new TypeError(`"${type}": there is no "${unknown}"; the fields are ${FIELDS.join(", ")}`);
  const { timeout, max_attempts: maxAttempts, backoff, delay } = given;
  const ms = (field: string, value: unknown): number => durationOf(`"${type}": ${field}`, value);
  return {
    delayMs: delay === undefined ? TYPE_DEFAULTS.delayMs : ms("delay", delay),
    timeoutMs: timeout === undefined ? TYPE_DEFAULTS.timeoutMs : Math.max(1, ms("timeout", timeout)),
    maxAttempts: maxAttempts === undefined ? TYPE_DEFAULTS.maxAttempts : attemptsOf(type, maxAttempts),
    backoff: backoff === undefined ? TYPE_DEFAULTS.backoff : backoffOf(type, backoff, ms),
  };
}

function durationOf(where: string, value: unknown): number {
  const ms = typeof value === "string" ? parseDurationMs(value) : null;
  if (ms !== null && ms >= 0 && ms <= CENTURY_MS) return ms;
  throw new TypeError(`${where}: expected a duration such as "90s" or "10m", got ${JSON.stringify(value)}`);
}

function attemptsOf(type: string, value: unknown): number {
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= LIMITS.maxAttempts)
    return value;
  throw new TypeError(
    `"${type}": max_attempts: expected a whole number from 1 to ${LIMITS.maxAttempts}, got ${JSON.stringify(value)}`,
  );
}

function backoffOf(type: string, value: unknown, ms: (field: string, value: unknown) => number) {
  if (!isObject(value)) throw new TypeError(`"${type}": backoff: expected {"base": "1s", "max": "1h"}`);
  const backoff = { baseMs: ms("backoff.base", value.base), maxMs: ms("backoff.max", value.max) };
  if (backoff.baseMs <= backoff.maxMs) return backoff;
  throw new TypeError(`"${type}": backoff: base must not be longer than max`);
}
