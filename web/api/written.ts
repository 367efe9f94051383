/** Answers with payloads and results as text beside their values: JSON.parse rounds numbers beyond 15 digits. */
import type { Task } from "../../src/client/client.ts";
import { elementsOf, memberOf, startOf } from "../../src/core/json-text.ts";
import type { JsonText } from "../../src/core/task.ts";

/**
 * A task as it was read. Plain strings rather than JSON.rawJSON in the values: such an object does not survive being copied, which
 * caches do.
 */
export type WrittenTask = Task & {
  /** As it was sent; null without one. */
  readonly payloadText: JsonText | null;
  readonly resultText: JsonText | null;
  /** The version that payload and result are of. Events raise `version` and bring neither. */
  readonly readVersion: number;
};

/** An answer of the API: whole tasks in it, one or a list, become `WrittenTask`s. */
export function parseAnswer(text: string): unknown {
  const answer: unknown = JSON.parse(text);
  if (isWhole(answer)) return written(answer, text, startOf(text));
  if (!Array.isArray(answer) || !answer.every(isWhole)) return answer; // nothing is looked for in a list of states
  const elements = elementsOf(text, startOf(text));
  return answer.map((task, at) => written(task, text, elements[at]?.start ?? text.length));
}

/** No other answer has both members. */
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
