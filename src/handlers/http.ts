import type { Clock } from "../core/clock.ts";
import { parseDurationMs } from "../core/duration.ts";
import { LIMITS } from "../core/task.ts";
import { type Allowance, isWithin, parseRange, type Range, reservedAs } from "../lib/addresses.ts";
import { systemClock } from "../lib/system-clock.ts";
import { fail, type Handler, type HandlerTask, payloadTextOf } from "../processor/handler.ts";
import { meaningOf } from "./http-answer.ts";
import { type CallLimits, call, isCallError, type Lookup, systemLookup, type Target } from "./http-call.ts";

export type HttpOptions = {
  /** Sent with each request, such as an Authorization. Those that carry the request or name the task are not yours to set. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * Which addresses that are not on the open internet may be called: ranges such as "10.1.0.0/16" or "::1", or true for all. None
   * unless given, or allowed for the whole process.
   */
  readonly allowPrivate?: Allowance;
  /** For looking the name up, connecting and agreeing on TLS; "10s" unless given. */
  readonly connectTimeout?: string;
  /** Until the answer begins; "5m" unless given. How long the whole may take is the task's `timeout`. */
  readonly answerTimeout?: string;
  /** For each pause within the answer; "30s" unless given. */
  readonly idleTimeout?: string;
  /** Certificate authorities in PEM to trust instead of those that the runtime brings. */
  readonly ca?: string | readonly string[];
};

/** Makes a handler that has its tasks done by an HTTP server. */
export type HttpMaker = (url: string, options?: HttpOptions) => Handler;

export type HttpWorld = {
  /** What may be called by all handlers, beside what each one's own options allow. */
  readonly allowPrivate: Allowance;
  readonly lookup: Lookup;
  readonly clock: Clock;
};

/** This machine: its resolver, its clock, and nothing allowed but the open internet. */
export const httpWorld: HttpWorld = { allowPrivate: false, lookup: systemLookup, clock: systemClock };

/** As many bytes as make a line to show, and enough of it. */
const ERROR_BYTES = 4_096;

/** What belongs to the connection, or to the promise of what is sent. */
const OWN_HEADERS: ReadonlySet<string> = new Set([
  "accept-encoding",
  "connection",
  "content-encoding",
  "content-length",
  "content-type",
  "expect",
  "host",
  "idempotency-key",
  "keep-alive",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-tasktrack-attempt",
  "x-tasktrack-task",
]);

const OPTIONS: ReadonlySet<string> = new Set([
  "headers",
  "allowPrivate",
  "connectTimeout",
  "answerTimeout",
  "idleTimeout",
  "ca",
]);

/** `http` in a world of one's own: a process that may call more, or has names of its own. */
export const createHttp = (world: HttpWorld): HttpMaker => {
  const allowedToAll = readAllowance(world.allowPrivate);
  return (url, options = {}) => {
    refuseUnknown(options);
    const target = readTarget(url, readCa(options.ca));
    const headers = readHeaders(options.headers ?? {});
    const limits = readLimits(options);
    const refusalOf = refusalBy(allowedToAll, readAllowance(options.allowPrivate ?? false));
    return async (task, { signal }) => {
      const asked = {
        ...{ target, signal, limits, body: bodyOf(task) },
        headers: { ...headers, ...headersOf(task, target) },
      };
      try {
        const answer = await call(asked, { ...world, refusalOf });
        return meaningOf(answer, { host: target.host, now: world.clock.now() });
      } catch (error) {
        if (!isCallError(error)) throw error;
        return fail(error.message, { code: error.code, retryable: error.code !== "address_refused" });
      }
    };
  };
};

/**
 * Has each task done by the server at `url`: the task goes there as JSON in a POST, and what the server answers is its result. An
 * answer of 429 or 503 that says when to come again gives the task back until then; other 5xx, 408, 425, 429 and faults on the
 * way are failures that are tried again; all else is a failure that is not.
 *
 * The server sees one task more than once, after a failure or when a worker was lost: `Idempotency-Key` is the same then.
 * @throws TypeError for a URL or an option that cannot be meant
 * @example
 * export default {
 *   "invoice.send": http("https://billing.example/hook", { headers: { authorization: `Bearer ${token}` } }),
 * };
 */
export const http: HttpMaker = createHttp(httpWorld);

// ---- the request

function bodyOf(task: HandlerTask): string {
  const { id, name, description, type, tags, attempt } = task;
  const text = JSON.stringify({ id, name, description, type, tags, attempt });
  return `${text.slice(0, -1)},"payload":${payloadTextOf(task)}}`;
}

const headersOf = (task: HandlerTask, target: Target): Record<string, string> => ({
  host: hostHeader(target),
  "content-type": "application/json",
  "accept-encoding": "identity",
  "idempotency-key": `tasktrack-${task.id}-${task.createdAt.toString(36)}`,
  "x-tasktrack-task": String(task.id),
  "x-tasktrack-attempt": String(task.attempt),
});

// ---- what the maker was given

function readTarget(text: string, ca: readonly string[] | null): Target {
  const url = URL.parse(text);
  if (url === null) throw wrong("a URL", text);
  if (url.protocol !== "http:" && url.protocol !== "https:") throw wrong("an http or https URL", text);
  if (url.username !== "" || url.password !== "") {
    throw new TypeError("http: the URL must not carry a user or a password; put them into headers");
  }
  const isSecure = url.protocol === "https:";
  const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
  if (port === 0) throw wrong("a URL with a port from 1 up", text);
  // A name that ends in a dot is the same name; certificates are written without it.
  const host = url.hostname.replace(/^\[|\]$/g, "").replace(/\.$/, "");
  if (host === "") throw wrong("a URL with a host", text);
  return { isSecure, host, port, path: `${url.pathname}${url.search}`, ca };
}

const hostHeader = ({ host, port, isSecure }: Target): string => {
  const name = host.includes(":") ? `[${host}]` : host;
  return port === (isSecure ? 443 : 80) ? name : `${name}:${port}`;
};

function readHeaders(headers: Readonly<Record<string, string>>): Record<string, string> {
  const read: Record<string, string> = { "user-agent": "TaskTrack" };
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (!/^[\w!#$%&'*+.^`|~-]+$/.test(name)) throw wrong("a header's name", name);
    if (OWN_HEADERS.has(lower)) throw new TypeError(`http: the header ${name} is set by TaskTrack`);
    // The value may be a secret, so it is not shown.
    if (typeof value !== "string" || !/^[\t\x20-\x7e\x80-\xff]*$/.test(value)) {
      throw new TypeError(`http: expected a text that a header can carry for ${name}`);
    }
    read[lower] = value;
  }
  return read;
}

const readLimits = (options: HttpOptions): CallLimits => ({
  connectMs: readDuration("connectTimeout", options.connectTimeout ?? "10s"),
  answerMs: readDuration("answerTimeout", options.answerTimeout ?? "5m"),
  idleMs: readDuration("idleTimeout", options.idleTimeout ?? "30s"),
  resultBytes: LIMITS.resultBytes,
  errorBytes: ERROR_BYTES,
});

function readDuration(name: string, text: string): number {
  const ms = typeof text === "string" ? parseDurationMs(text) : null;
  if (ms === null || ms <= 0) throw wrong(`a duration such as "10s" for ${name}`, text);
  return ms;
}

function readCa(ca: string | readonly string[] | undefined): readonly string[] | null {
  if (ca === undefined) return null;
  const all = typeof ca === "string" ? [ca] : ca;
  if (!all.every((one) => typeof one === "string" && one.includes("-----BEGIN CERTIFICATE-----"))) {
    throw new TypeError("http: expected a certificate in PEM for ca, beginning -----BEGIN CERTIFICATE-----");
  }
  return all;
}

/** "all", or the ranges that are meant. */
function readAllowance(allowance: Allowance): "all" | readonly Range[] {
  if (typeof allowance === "boolean") return allowance ? "all" : [];
  return allowance.map((text) => {
    const range = parseRange(text);
    if (range === null) throw wrong('true or ranges such as "10.1.0.0/16" for allowPrivate', text);
    return range;
  });
}

const refusalBy =
  (...allowed: readonly ("all" | readonly Range[])[]) =>
  (address: string): string | null =>
    allowed.some((ranges) => ranges === "all" || isWithin(address, ranges)) ? null : reservedAs(address);

/** A misspelt option would be a rule that does not hold. */
function refuseUnknown(options: HttpOptions): void {
  const unknown = Object.keys(options).find((name) => !OPTIONS.has(name));
  if (unknown !== undefined) throw wrong(`one of ${[...OPTIONS].join(", ")}`, unknown);
}

const wrong = (expected: string, got: unknown): TypeError =>
  new TypeError(`http: expected ${expected}, got ${JSON.stringify(got)}`);
