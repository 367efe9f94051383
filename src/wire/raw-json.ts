/**
 * Payloads and results are stored as the text that was sent: in a parsed body, this text replaces their
 * value.
 */
import { z } from "zod";
import { elementsOf, memberOf, type Span, startOf } from "../core/json-text.ts";
import type { JsonText } from "../core/task.ts";
import type { JsonBody } from "./json-body.ts";

/** The text that replaces a value. Its key is a symbol, which no client can send. */
type RawJson = { readonly [RAW]: JsonText };
const RAW: unique symbol = Symbol("raw JSON");

/** The body of one task, or of a list of them, with their payloads as text. */
export const withRawPayloads = ({ value, text }: JsonBody): unknown => {
  keepMembers(value, "payload", { text, find: () => startOf(text) });
  return value;
};

/** The body that completes a task, with its result as text. */
export const withRawResult = ({ value, text }: JsonBody): unknown => {
  keepMembers(value, "result", { text, find: () => startOf(text) });
  return value;
};

/** The body that completes many tasks, with their results as text. */
export const withRawResults = ({ value, text }: JsonBody): unknown => {
  const tasks = isObject(value) ? value.tasks : undefined;
  keepMembers(tasks, "result", { text, find: () => memberOf(text, startOf(text), "tasks")?.start ?? null });
  return value;
};

/** The schema of such a field. JSON null means that there is no value. */
export const rawJson = z.unknown().transform((value): JsonText | null | undefined => {
  if (value === null || value === undefined) return value; // zod calls this with undefined for a missing field
  if (typeof value === "object" && RAW in value) return (value as RawJson)[RAW]; // only this file has the symbol
  throw new Error("a schema with raw JSON was given a body without it");
});

type Place = { readonly text: JsonText; readonly find: () => number | null };

/**
 * Replaces the member in an object, or in each object of a list; null stays null. The value comes from the
 * parser and is not shared, so it is changed in place. The text is searched only if an object has the member:
 * creating a task without a payload costs nothing extra.
 */
function keepMembers(value: unknown, name: string, { text, find }: Place): void {
  const holders = Array.isArray(value) ? value : [value];
  if (!holders.some((holder) => hasValue(holder, name))) return;
  const place = find();
  if (place === null) return;
  const starts = Array.isArray(value) ? elementsOf(text, place).map(({ start }) => start) : [place];
  for (const [at, start] of starts.entries()) {
    const holder: unknown = holders[at];
    const found = hasValue(holder, name) ? memberOf(text, start, name) : null;
    if (found !== null)
      (holder as Record<string, unknown>)[name] = { [RAW]: cut(text, found) } satisfies RawJson;
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const hasValue = (value: unknown, name: string): boolean =>
  isObject(value) && Object.hasOwn(value, name) && value[name] !== null;

/**
 * A slice of a string keeps the whole string in memory. A short slice is copied, because the memory store
 * would otherwise keep the whole body for as long as the task exists.
 */
const cut = (text: string, { start, end }: Span): string => {
  const part = text.slice(start, end);
  return 2 * part.length >= text.length ? part : Buffer.from(part).toString();
};
