/** Keeps the text of payloads and results beside their values: JSON.parse rounds numbers with more than 15 digits. */
import type { Task } from "../../src/client/client.ts";
import { elementsOf, memberOf, startOf } from "../../src/core/json-text.ts";
import type { JsonText } from "../../src/core/task.ts";

/**
 * A task with the JSON text of its payload and result. Plain strings, not JSON.rawJSON: caches copy values, and a copy of such an
 * object is no longer raw JSON.
 */
export type WrittenTask = Task & {
  /** The text as it was sent; null if there is no payload. */
  readonly payloadText: JsonText | null;
  readonly resultText: JsonText | null;
  /** The version of payload and result. Events raise `version` without them. */
  readonly readVersion: number;
};

/** Parses an answer of the API. A full task, or each task of a list of full tasks, becomes a `WrittenTask`. */
export function parseAnswer(text: string): unknown {
  const answer: unknown = JSON.parse(text);
  if (isWhole(answer)) return written(answer, text, startOf(text));
  if (!Array.isArray(answer) || !answer.every(isWhole)) return answer; // lists of task states have no payload and result
  const elements = elementsOf(text, startOf(text));
  return answer.map((task, at) => written(task, text, elements[at]?.start ?? text.length));
}

/** Only full tasks have both members. */
const isWhole = (value: unknown): value is Task =>
  typeof value === "object" &&
  value !== null &&
  Object.hasOwn(value, "payload") &&
  Object.hasOwn(value, "result");

const written = (task: Task, text: string, start: number): WrittenTask => ({
  ...task,
  payloadText: task.payload === null ? null : textOf(text, start, "payload"),
  resultText: task.result === null ? null : textOf(text, start, "result"),
  readVersion: task.version,
});

function textOf(text: string, start: number, name: string): JsonText | null {
  const member = memberOf(text, start, name);
  return member === null ? null : text.slice(member.start, member.end);
}
