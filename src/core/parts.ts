/** Reads of a part of a task: which fields they have. */
import {
  FIELD_NAMES,
  FIELDS,
  type FieldName,
  type LightTask,
  PARTS,
  type Parts,
  type Task,
  type TaskHead,
} from "./task.ts";

/** The result of one of the three reads, as the `parts` of the call say. */
export type AnyParts = Task | LightTask | TaskHead;

/** The larger of two reads. */
export const wider = (a: Parts, b: Parts): Parts => (PARTS.indexOf(a) > PARTS.indexOf(b) ? a : b);

const includedIn = (parts: Parts): readonly FieldName[] =>
  FIELD_NAMES.filter((name) => wider(parts, FIELDS[name].parts) === parts);

/** The fields that each read includes. */
export const FIELDS_IN: Readonly<Record<Parts, readonly FieldName[]>> = {
  head: includedIn("head"),
  light: includedIn("light"),
  whole: includedIn("whole"),
};

/** These parts of a task that was read with these parts or more. */
export function narrowed(task: AnyParts, parts: Parts): AnyParts {
  if (parts === "whole") return task;
  const wide = task as Task; // only fields that it has are read
  return Object.fromEntries(FIELDS_IN[parts].map((name) => [name, wide[name]])) as unknown as AnyParts; // the fields of these parts
}

/**
 * The fields in which a step differs from the task that it was made from, compared by identity: a rule keeps each value that it
 * does not change. A field that the step does not have is not among them.
 */
export const changedFields = (from: Partial<Task>, to: Partial<Task>): readonly FieldName[] =>
  FIELD_NAMES.filter((name) => name in to && to[name] !== from[name]);
