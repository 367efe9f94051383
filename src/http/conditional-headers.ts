/** What clients say in headers about how they want it: only if it is still so, wait for the end, once and no more. */
import { TaskError } from "../core/error.ts";
import type { Task } from "../core/task.ts";
import type { CallKey, Condition } from "../engine/producers.ts";
import { checkedKey, fingerprintOf } from "../wire/idempotency-key.ts";
import type { RequestHeaders } from "./route.ts";
import { LONGEST_WAIT_MS } from "./waits.ts";

export const etagOf = ({ version }: Pick<Task, "version">): string => `"v${version}"`;

/**
 * `If-Match` as a condition on the task; undefined without it. Foreign tags match nothing. An empty one comes from a client that has
 * lost the version: it is refused as what it is, not as a task that has changed.
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

/** Whether the client has this state already. A running task's duration grows, so nobody has it. */
export function isKnown(task: Task, headers: RequestHeaders): boolean {
  const header = headers["if-none-match"];
  if (header === undefined || task.status === "running") return false;
  return header.trim() === "*" || versionsIn(header).has(String(task.version));
}

/**
 * A proxy that compresses an answer changes its tag, for the bytes are others now: nginx, HAProxy and Varnish make it weak
 * (`W/"v7"`), Apache and others append the coding (`"v7-gzip"`, `"v7;gzip"`). The tag of a task names its version, not bytes, so all of
 * these mean the same: RFC 9110 would have a weak tag never match in If-Match, and no client behind such a proxy could use it.
 */
const TAG = /^(?:W\/)?"v(\d{1,16})(?:(?:--?|;)[\w-]*\w)?"$/;

/** The versions that the tags of a header name. */
const versionsIn = (header: string): ReadonlySet<string> =>
  new Set(header.split(",").flatMap((tag) => TAG.exec(tag.trim())?.[1] ?? []));

/** RFC 7240: wishes by name; a wish that is not understood is passed over. */
export function prefersOf(headers: RequestHeaders): ReadonlyMap<string, string> {
  const wishes = (headers.prefer ?? "").split(/[,;]/).map((wish) => wish.trim().toLowerCase());
  return new Map(
    wishes
      .filter((wish) => wish !== "")
      .map((wish) => {
        const [name = "", value = ""] = wish.split("=", 2);
        return [name.trim(), value.trim().replace(/^"(.*)"$/, "$1")];
      }),
  );
}

/** `Prefer: wait=30`: for how many seconds it is answered at the latest; null without it. */
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
