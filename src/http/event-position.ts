import type { Position } from "../engine/watchers.ts";

/** The id of an event: a position in the change log. Opaque to clients. */
export const formatPosition = ({ epoch, rev }: Position): string =>
  Buffer.from(`${rev}:${epoch}`).toString("base64url");

/**
 * The position in the id of an event. An invalid id gives a position that exists in no log, so that its reader
 * gets a reset. All numbers that a store can give are accepted: those of PostgreSQL grow by 16,384 with each commit
 * and have 16 digits after two years of a thousand commits a second.
 */
export function parsePosition(eventId: string): Position {
  const text = Buffer.from(eventId, "base64url").toString();
  const [, rev = "", epoch = ""] = /^(\d{1,16}):([ -~]+)$/.exec(text) ?? [];
  return rev !== "" && Number.isSafeInteger(Number(rev))
    ? { epoch, rev: Number(rev) }
    : { epoch: "none", rev: 0 };
}
