/** Prepares JSON for display: groups long lists and objects, shortens long strings. Copy buttons copy the full text. */

import { writtenNumber } from "../../src/core/exact-json.ts";

/** Lists and objects with more entries are displayed in groups of this size. */
const GROUP = 100;
const LONGEST_STRING = 5_000;

/**
 * A number whose JavaScript form differs from its text. It extends Date because the viewer draws only Date objects as text without
 * quotes: it calls toISOString.
 */
export class NumberAsWritten extends Date {
  readonly text: string;

  constructor(text: string) {
    super(0);
    this.text = text;
  }

  override toISOString(): string {
    return this.text;
  }
}

/** The same value for display. A long list becomes `{ "0 … 99": […], "100 … 199": […] }`. */
export function inPieces(value: unknown): unknown {
  if (typeof value === "string") return shortened(value);
  if (Array.isArray(value)) return grouped(value.map(inPieces), (piece) => piece);
  if (typeof value !== "object" || value === null) return value;
  const number = writtenNumber(value);
  if (number !== null) return new NumberAsWritten(number);
  const entries = Object.entries(value).map(([key, one]) => [shortened(key), inPieces(one)] as const);
  // Object.fromEntries, not assignment: a key may be "__proto__".
  return grouped(entries, (piece) => Object.fromEntries(piece));
}

/** Nests groups until no level has more than `GROUP` entries. */
function grouped<T>(list: readonly T[], toValue: (piece: readonly T[]) => unknown): unknown {
  if (list.length <= GROUP) return toValue(list);
  let size = GROUP;
  while (Math.ceil(list.length / size) > GROUP) size *= GROUP;
  const starts = Array.from({ length: Math.ceil(list.length / size) }, (_, index) => index * size);
  return Object.fromEntries(
    starts.map((start) => {
      const piece = list.slice(start, start + size);
      return [`${start} … ${start + piece.length - 1}`, grouped(piece, toValue)];
    }),
  );
}

const shortened = (text: string): string =>
  text.length <= LONGEST_STRING
    ? text
    : `${text.slice(0, LONGEST_STRING).toWellFormed()}… (+${text.length - LONGEST_STRING})`;
