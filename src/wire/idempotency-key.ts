/** The keys under which a repeated request or message is carried out once, and the fingerprints that tell one body from another. */
import { TaskError } from "../core/error.ts";

/** The key, if it is one; throws `invalid` in the name under which it came. */
export function checkedKey(key: string, name: string): string {
  if (/^[\x20-\x7e]{1,255}$/.test(key)) return key;
  const detail = "must be 1 to 255 printable ASCII characters";
  throw new TaskError("invalid", `${name} ${detail}`, [{ pointer: `/${name}`, detail }]);
}

/** The same for the same text alone: a payload that differs in a digit, or in the order of its keys, is another one. */
export const fingerprintOf = (text: string): string =>
  new Bun.CryptoHasher("sha256").update(text).digest("base64");

/** As version 0.1 made it: the same for the same JSON value, however its members are ordered and its numbers are written. */
export const earlierFingerprintOf = (text: string): string =>
  fingerprintOf(JSON.stringify(inOrder(JSON.parse(text))));

function inOrder(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(inOrder);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return { members: members.map(([name, member]) => [name, inOrder(member)]) }; // no array of a client looks so
}
