import type { Clock } from "../core/clock.ts";
import { parseDurationMs } from "../core/duration.ts";
import { LIMITS } from "../core/task.ts";
import { type Allowance, isWithin, parseRange, type Range, reservedAs } from "../lib/addresses.ts";
import { systemClock } from "../lib/system-clock.ts";
import { fail, type Handler, type HandlerTask, payloadTextOf } from "../processor/handler.ts";
import { meaningOf } from "./http-answer.ts";
import { type CallLimits, call, isCallError, type Lookup, systemLookup, type Target } from "./http-call.ts";

export type HttpOptions = {
  /** Headers of each request, such as Authorization. Headers that belong to the connection or name the task cannot be set. */
  readonly headers?: Readonly<Record<string, string>>;
  /**
   * The private addresses that may be called: ranges such as "10.1.0.0/16" or "::1", or true for all. None by
   * default, unless they are allowed for the whole process.
   */
  readonly allowPrivate?: Allowance;
  /** The limit for name resolution, connection and TLS handshake; "10s" by default. */
  readonly connectTimeout?: string;
  /** The limit until the answer begins; "5m" by default. The limit of the whole attempt is the task's `timeout`. */
  readonly answerTimeout?: string;
  /** The limit for each pause within the answer; "30s" by default. */
  readonly idleTimeout?: string;
  /** Trusted certificate authorities in PEM, instead of those of the runtime. */
  readonly ca?: string | readonly string[];
};

/** Makes a handler that sends its tasks to an HTTP server. */
export type HttpMaker = (url: string, options?: HttpOptions) => Handler;

export type HttpWorld = {
  /** The private addresses that all handlers may call, in addition to the options of each. */
  readonly allowPrivate: Allowance;
  readonly lookup: Lookup;
  readonly clock: Clock;
};

/** The resolver and the clock of this machine, without private addresses. */
export const httpWorld: HttpWorld = { allowPrivate: false, lookup: systemLookup, clock: systemClock };

/** How much of an error's body is read: enough for one line. */
const ERROR_BYTES = 4_096;

/** Headers that belong to the connection, or name the task. */
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

/** `http` for a process with other allowed addresses, or with a resolver of its own. */
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
 * Sends each task to the server at `url`, as JSON in a POST; the answer is the result of the task. An answer 429 or 503 with
 * Retry-After releases the task until that time. Other 5xx, 408, 425, 429 and network errors are failures that are retried. Any
 * other answer is a permanent failure.
 *
 * The server may get a task more than once, after a failure or the loss of a worker. `Idempotency-Key` is the same then.
 * @throws TypeError for an invalid URL or option
 * @example
 * export default {
 *   "invoice.send": http("https://billing.example/hook", { headers: { authorization: `Bearer ${token}` } }),
 * };
 */
export const http: HttpMaker = createHttp(httpWorld);

// ---- the request

function bodyOf(task: HandlerTask): string {
  const { id, name, description, type, tags, labels, attempt } = task;
  const text = JSON.stringify({ id, name, description, type, tags, labels, attempt });
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

// ---- options

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
  // A name with a dot at its end is the same name. Certificates contain it without the dot.
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
      throw new TypeError(`http: expected a valid header value for ${name}`);
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

/** All addresses, or the given ranges. */
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

/** Refuses unknown options, because a misspelt option would have no effect. */
function refuseUnknown(options: HttpOptions): void {
  const unknown = Object.keys(options).find((name) => !OPTIONS.has(name));
  if (unknown !== undefined) throw wrong(`one of ${[...OPTIONS].join(", ")}`, unknown);
}

const wrong = (expected: string, got: unknown): TypeError =>
  new TypeError(`http: expected ${expected}, got ${JSON.stringify(got)}`);
