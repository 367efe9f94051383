/** Keys under which a repeated request or message is carried out once, and fingerprints of the bodies. */
import { TaskError } from "../core/error.ts";

/** Returns the key if it is valid. Otherwise throws `invalid` with the name of its header or property. */
export function checkedKey(key: string, name: string): string {
  if (/^[\x20-\x7e]{1,255}$/.test(key)) return key;
  const detail = "must be 1 to 255 printable ASCII characters";
  throw new TaskError("invalid", `${name} ${detail}`, [{ pointer: `/${name}`, detail }]);
}

/**
 * The fingerprint of a text. A payload that differs in a digit, or in the order of its keys, has another one.
 */
export const fingerprintOf = (text: string): string =>
  new Bun.CryptoHasher("sha256").update(text).digest("base64");

/**
 * The fingerprint of version 0.1: equal for equal JSON values, whatever the order of members and the notation
 * of numbers.
 */
export const earlierFingerprintOf = (text: string): string =>
  fingerprintOf(JSON.stringify(inOrder(JSON.parse(text))));

function inOrder(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(inOrder);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  // An object, so that it differs from every array that a client may send.
  return { members: members.map(([name, member]) => [name, inOrder(member)]) };
}
