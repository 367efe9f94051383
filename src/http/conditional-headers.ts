/** Headers that set conditions on a request: If-Match, If-None-Match, Prefer, Idempotency-Key. */
import { TaskError } from "../core/error.ts";
import type { Task } from "../core/task.ts";
import type { CallKey, Condition } from "../engine/producers.ts";
import { checkedKey, fingerprintOf } from "../wire/idempotency-key.ts";
import type { RequestHeaders } from "./route.ts";
import { LONGEST_WAIT_MS } from "./waits.ts";

export const etagOf = ({ version }: Pick<Task, "version">): string => `"v${version}"`;

/**
 * `If-Match` as a condition on the task; undefined without it. Tags that are no versions match nothing. An
 * empty header comes from a client that has lost the version. It is refused as `invalid`, because a 412 would
 * mean that the task has changed.
 */
export function ifMatch(headers: RequestHeaders): Condition | undefined {
  const header = headers["if-match"];
  if (header === undefined || header.trim() === "*") return undefined;
  if (header.trim() === "") {
    const detail = 'must be a version such as "v7", or *; leave it out to set no condition';
    throw new TaskError("invalid", `If-Match ${detail}`, [{ pointer: "/If-Match", detail }]);
  }
  const wanted = versionsIn(header);
  return (task) => {
    if (wanted.has(String(task.version))) return;
    throw new TaskError(
      "version_mismatch",
      `Task ${task.id} is now ${etagOf(task)}, not ${header.slice(0, 100)}`,
    );
  };
}

/**
 * Whether the client has this state already. No client has the state of a running task, because its duration
 * grows.
 */
export function isKnown(task: Task, headers: RequestHeaders): boolean {
  const header = headers["if-none-match"];
  if (header === undefined || task.status === "running") return false;
  return header.trim() === "*" || versionsIn(header).has(String(task.version));
}

/**
 * A proxy that compresses an answer changes its tag, because the bytes differ: nginx, HAProxy and Varnish
 * make it weak (`W/"v7"`), Apache and others append the coding (`"v7-gzip"`, `"v7;gzip"`). The tag of a task
 * stands for its version, not for bytes, so all of these are accepted. By RFC 9110 a weak tag never matches
 * in If-Match, and no client behind such a proxy could use the header.
 */
const TAG = /^(?:W\/)?"v(\d{1,16})(?:(?:--?|;)[\w-]*\w)?"$/;

/** The versions that the tags of a header name. */
const versionsIn = (header: string): ReadonlySet<string> =>
  new Set(header.split(",").flatMap((tag) => TAG.exec(tag.trim())?.[1] ?? []));

/** The preferences of a Prefer header (RFC 7240), by name. Unknown ones are ignored. */
export function prefersOf(headers: RequestHeaders): ReadonlyMap<string, string> {
  const preferences = (headers.prefer ?? "")
    .split(/[,;]/)
    .map((preference) => preference.trim().toLowerCase());
  return new Map(
    preferences
      .filter((preference) => preference !== "")
      .map((preference) => {
        const [name = "", value = ""] = preference.split("=", 2);
        return [name.trim(), value.trim().replace(/^"(.*)"$/, "$1")];
      }),
  );
}

/** `Prefer: wait=30`: after how many seconds the request is answered at the latest; null without it. */
export function waitOf(headers: RequestHeaders): number | null {
  if (headers.prefer === undefined) return null;
  const seconds = prefersOf(headers).get("wait") ?? "";
  return /^\d{1,9}$/.test(seconds) ? Math.min(Number(seconds), LONGEST_WAIT_MS / 1_000) : null;
}

/** The key under which a repeated request gets its first answer; null without one. */
export function idempotencyKeyOf(headers: RequestHeaders): string | null {
  const key = headers["idempotency-key"];
  return key === undefined ? null : checkedKey(key, "Idempotency-Key");
}

/** Identifies a step under the Idempotency-Key of its request; undefined if the request has none. */
export function callKeyOf(headers: RequestHeaders, step: string, body = ""): CallKey | undefined {
  const key = idempotencyKeyOf(headers);
  if (key === null) return undefined;
  const name = new Bun.CryptoHasher("sha256").update(JSON.stringify([step, key])).digest("base64url");
  return { name: `call/${name}`, fingerprint: fingerprintOf(body) };
}
