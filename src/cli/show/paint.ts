import { styleText } from "node:util";
import type { AttemptOutcome, Status } from "../../client/types.ts";

type Style = "bold" | "dim" | "red" | "green" | "yellow" | "cyan" | "magenta";

/** Colours a text; returns it unchanged without colour. */
export type Paint = (style: Style, text: string) => string;

/**
 * Whether to use colour: never with `--no-color` or NO_COLOR; with FORCE_COLOR always; otherwise on terminals
 * that are not dumb.
 */
export function wantsColour(facts: {
  readonly isRefused: boolean;
  readonly isTerminal: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}): boolean {
  const { NO_COLOR, FORCE_COLOR, TERM } = facts.env;
  if (facts.isRefused || (NO_COLOR ?? "") !== "") return false;
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== "0" && FORCE_COLOR !== "false";
  return facts.isTerminal && TERM !== "dumb";
}

/** `styleText` does not check the stream, because that was done before. */
export const createPaint = (isColoured: boolean): Paint =>
  isColoured ? (style, text) => styleText(style, text, { validateStream: false }) : (_style, text) => text;

/** The colour of a status, or of an attempt's end. */
export function styleOf(status: Status | AttemptOutcome): Style {
  switch (status) {
    case "pending":
    case "released":
      return "yellow";
    case "running":
      return "cyan";
    case "done":
      return "green";
    case "failed":
    case "lost":
      return "red";
    case "cancelled":
      return "magenta";
    default:
      return status satisfies never;
  }
}
