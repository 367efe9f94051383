/** Parses the JSON that clients and brokers send, within limits of length and depth. */
import { isDeeperThan } from "../core/json-text.ts";
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
  // Before parsing, so that no client can overflow the stack of the parser.
  if (isDeeperThan(JSON_DEPTH, text))
    throw refuse("malformed_body", `JSON may be nested at most ${JSON_DEPTH} levels deep`);
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
