/** The bodies of requests that create or change tasks. */
import type { TaskPatch, TaskSpec } from "./types.ts";

/**
 * The JSON of the body. A payload that is given as JSON text is sent unchanged. Throws TypeError if it is not
 * JSON.
 */
export function bodyOf({ payloadText, ...fields }: TaskSpec | TaskPatch): string {
  if (payloadText === undefined) return JSON.stringify(fields);
  checkJson(payloadText);
  const { payload: _, ...others } = fields;
  const members = JSON.stringify(others).slice(1, -1);
  return `{${members === "" ? "" : `${members},`}"payload":${payloadText}}`;
}

function checkJson(text: string): void {
  try {
    JSON.parse(text);
  } catch (error) {
    throw new TypeError(`payloadText: expected JSON: ${error instanceof Error ? error.message : error}`);
  }
}
