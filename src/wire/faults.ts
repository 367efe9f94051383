/**
 * The issues that zod finds in a value, as the faults of a problem document. Their number and length are
 * limited.
 */
import type { z } from "zod";
import { FIELD_FAULTS_LISTED, type FieldFault } from "../core/error.ts";
import { LIMITS, storableText } from "../core/task.ts";

export type Faults = {
  /** At most FIELD_FAULTS_LISTED. */
  readonly listed: readonly FieldFault[];
  /** How many more there are. */
  readonly omitted: number;
};

/** 80,000 unknown keys are one issue of zod: only the listed ones are described, the others are counted. */
export function faultsOf(issues: readonly z.core.$ZodIssue[]): Faults {
  const listed: FieldFault[] = [];
  let count = 0;
  for (const issue of issues) {
    const room = FIELD_FAULTS_LISTED - listed.length;
    if (room > 0) listed.push(...faultsIn(issue, room));
    count += issue.code === "unrecognized_keys" ? issue.keys.length : 1;
  }
  return { listed, omitted: count - listed.length };
}

const NAMED_IN_SENTENCE = 10;

/** The faults as one sentence, for clients that read only the message. */
export function sentenceOf({ listed, omitted }: Faults): string {
  const named = listed.slice(0, NAMED_IN_SENTENCE);
  const more = listed.length - named.length + omitted;
  return [
    ...named.map(({ pointer, detail }) => `${pointer || "body"} ${detail}`),
    ...(more > 0 ? [`and ${more} more`] : []),
  ].join("; ");
}

function faultsIn(issue: z.core.$ZodIssue, atMost: number): FieldFault[] {
  const pointer = issue.path.map((step) => `/${escapePointer(String(step))}`).join("");
  if (issue.code === "unrecognized_keys") {
    return issue.keys.slice(0, atMost).map((key) => ({
      pointer: shortened(`${pointer}/${printable(key)}`),
      detail: "is unknown or read-only",
    }));
  }
  return [{ pointer: shortened(pointer), detail: shortened(detailOf(issue)) }];
}

function detailOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return isOurs(issue.message) ? issue.message : `must be ${article(issue.expected)}`;
    case "invalid_value":
      return `must be one of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      return isOurs(issue.message) ? issue.message : leastWords(issue.origin, issue.minimum);
    case "too_big":
      return isOurs(issue.message)
        ? issue.message
        : `must be at most ${issue.maximum}${unitOf(issue.origin)}`;
    default:
      return issue.message;
  }
}

/** Messages of zod begin like this. */
const isOurs = (message: string): boolean => !/^(?:Invalid input|Too small|Too big)/.test(message);

const leastWords = (origin: string, least: number | bigint): string =>
  UNITS.has(origin) && least === 1 ? "must not be empty" : `must be at least ${least}${unitOf(origin)}`;

const UNITS: ReadonlyMap<string, string> = new Map([
  ["string", " characters long"],
  ["array", " elements long"],
]);
const unitOf = (origin: string): string => UNITS.get(origin) ?? "";

const escapePointer = (step: string): string => step.replaceAll("~", "~0").replaceAll("/", "~1");

/** An unknown key, shortened, with the characters replaced that JSON text cannot show. */
const printable = (key: string): string => escapePointer(storableText(key, LIMITS.keyCodePoints));

/** The most characters of a pointer or a detail. Those of known fields are far shorter. */
const FAULT_TEXT = 400;

const shortened = (text: string): string =>
  text.length <= FAULT_TEXT ? text : `${storableText(text, FAULT_TEXT)}…`;

const article = (type: string): string => (type === "int" ? "a whole number" : withArticle(type));

const withArticle = (type: string): string => (/^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`);
