/**
 * Arguments of a command with placeholders for fields of a task. They are parsed once, when the handlers
 * load, and filled in for each task.
 */
import { valueAt } from "../core/json-text.ts";
import { fail, type HandlerTask, payloadTextOf, type Verdict } from "../processor/handler.ts";

/** A placeholder: the field of the task, and the path into the payload. */
type Place = { readonly field: Field; readonly path: readonly string[]; readonly text: string };
type Part = string | Place;
export type Template = readonly Part[];

const FIELDS = ["payload", "id", "name", "type", "attempt"] as const;
type Field = (typeof FIELDS)[number];

const BRACES = /\{\{|\}\}|\{[^{}]*\}|[{}]/g;

/**
 * Reads one argument. Throws TypeError for a placeholder that no task can fill.
 * @example parseTemplate("--id={id}") // ["--id=", { field: "id", path: [], text: "{id}" }]
 */
export function parseTemplate(argument: string): Template {
  const parts: Part[] = [];
  let at = 0;
  for (const { 0: found, index } of argument.matchAll(BRACES)) {
    parts.push(argument.slice(at, index), partOf(found, argument));
    at = index + found.length;
  }
  parts.push(argument.slice(at));
  return parts.filter((part) => part !== "");
}

function partOf(found: string, argument: string): Part {
  if (found === "{{" || found === "}}") return found.charAt(0);
  const [field, ...path] = found.slice(1, -1).split(".");
  const known = FIELDS.find((name) => name === field);
  if (known !== undefined && found.length > 1 && isPathOf(known, path))
    return { field: known, path, text: found };
  throw new TypeError(
    `command: expected {payload.…}, {id}, {name}, {type} or {attempt}, got ${JSON.stringify(found)} in ` +
      `${JSON.stringify(argument)}; a brace itself is written twice`,
  );
}

const isPathOf = (field: Field, path: readonly string[]): boolean =>
  field === "payload" ? !path.includes("") : path.length === 0;

export const hasPlaces = (template: Template): boolean => template.some((part) => typeof part !== "string");

/** The argument for this task. Throws the verdict `bad_payload` if the task lacks a value, or has a value that is not allowed. */
export function fillIn(template: Template, task: HandlerTask, allowDashes: boolean): string {
  const text = template.map((part) => (typeof part === "string" ? part : textOf(part, task))).join("");
  const [first] = template;
  // Checks the whole argument, not only the first value: if the first value is empty, the next one begins the argument.
  if (first !== undefined && typeof first !== "string" && text.startsWith("-") && !allowDashes) {
    throw badPayload(
      `${first.text} would become an option: ${JSON.stringify(text.slice(0, 100))} begins with "-"`,
    );
  }
  return text;
}

function textOf(place: Place, task: HandlerTask): string {
  const value = place.path.reduce(memberOf, task[place.field] as unknown); // the types of the fields differ
  if (value === undefined || value === null) throw badPayload(`${place.text} is missing`);
  const text = typeof value === "string" ? value : writtenOf(place, task);
  if (text.includes("\0")) throw badPayload(`${place.text} contains the character NUL`);
  return text;
}

/** A value that is not a string is inserted as it was written: a large id keeps its digits. */
const writtenOf = ({ field, path }: Place, task: HandlerTask): string =>
  (field === "payload" ? valueAt(payloadTextOf(task), path) : null) ?? String(task[field]);

/** Reads own members of objects and items of lists only, so that members that JavaScript adds are not found. */
function memberOf(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  if (Array.isArray(value) && !/^\d+$/.test(key)) return undefined;
  return (value as Record<string, unknown>)[key]; // an object that has this member
}

const badPayload = (message: string): Verdict => fail(message, { code: "bad_payload", retryable: false });
