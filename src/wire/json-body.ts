/** Parses the JSON that clients and brokers send, within limits of length and depth. */
import { refuse } from "./problem.ts";

export const BODY_BYTES = 1_048_576;
export const JSON_DEPTH = 64;

/** A body: the value, and the text as it was sent. */
export type JsonBody = { readonly value: unknown; readonly text: string };

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Parses JSON of limited length and depth. Throws a refusal. */
export const parseBytes = (bytes: Uint8Array, atMost: number = BODY_BYTES): JsonBody =>
  parseJson(decodeJson(bytes, atMost));

/** The text of JSON, whose length and depth are checked and whose syntax is not. Throws a refusal. */
export function decodeJson(bytes: Uint8Array, atMost: number): string {
  if (bytes.length > atMost) throw tooLarge(atMost);
  const text = decode(bytes);
  demandParsable(text);
  return text;
}

export const tooLarge = (atMost: number) =>
  refuse("body_too_large", `The body must be at most ${atMost} bytes long`);

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw refuse("malformed_body", "The body is not valid UTF-8");
  }
}

function demandParsable(text: string): void {
  if (text.length === 0) throw refuse("malformed_body", "The request has no body; expected a JSON object");
  if (isTooDeep(text)) throw refuse("malformed_body", `JSON may be nested at most ${JSON_DEPTH} levels deep`);
}

export function parseJson(text: string): JsonBody {
  try {
    return { value: JSON.parse(text), text };
  } catch (error) {
    throw refuse(
      "malformed_body",
      `The body is not valid JSON: ${error instanceof Error ? error.message : "syntax"}`,
    );
  }
}

/** The depth is counted before parsing, so that no client can overflow the stack of the parser. */
function isTooDeep(text: string): boolean {
  if (text.indexOf("{", 1) === -1 && text.indexOf("[") === -1) return false; // one flat object, like most bodies
  let depth = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (inString) {
      if (unit === BACKSLASH) i++;
      else if (unit === QUOTE) inString = false;
    } else if (unit === QUOTE) inString = true;
    else if (unit === OPEN_BRACE || unit === OPEN_BRACKET) {
      if (++depth > JSON_DEPTH) return true;
    } else if (unit === CLOSE_BRACE || unit === CLOSE_BRACKET) depth--;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
