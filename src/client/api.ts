/**
 * Requests and answers: deadlines, retries, refusals. Uses web standards only, so that it runs in all
 * runtimes.
 */
import type { Clock } from "../core/clock.ts";
import { linkedAbort, sleep } from "../lib/waiting.ts";
import { type FieldFault, isTransient, TaskTrackError } from "./error.ts";

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** The options of a client. All have defaults. */
export type ClientOptions = {
  /** Sent with each request, for a gateway that needs them. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /**
   * How often a request is sent again after no answer, or after the answer 429, 502, 503 or 504. 10 unless
   * given, which lasts for the half minute that a restart takes.
   */
  readonly retries?: number | undefined;
  /**
   * How long one try may take, in milliseconds, in addition to the wait that the server was asked for. 30,000
   * unless given.
   */
  readonly timeoutMs?: number | undefined;
  /** Instead of the global `fetch`. */
  readonly fetch?: Fetch | undefined;
  /**
   * Parses the JSON of answers instead of JSON.parse, which rounds numbers of more than 15 digits.
   * @example
   * // Whole numbers that are too large become BigInt (Node.js 22, Bun, Deno, browsers of 2025).
   * const parse = (text) => JSON.parse(text, (key, value, { source }) =>
   *   typeof value === "number" && /^-?\d{16,}$/.test(source) ? BigInt(source) : value);
   */
  readonly parse?: ((text: string) => unknown) | undefined;
};

export type ApiRequest = {
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  /** The path with its query. */
  readonly path: string;
  /** JSON. */
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** How long the server was asked to wait. */
  readonly waitMs?: number;
  readonly timeoutMs?: number;
  readonly retries?: number;
  /** If a repeated request is refused with one of these codes, the server has executed an earlier one. */
  readonly doneWhen?: readonly string[];
};

export type ApiAnswer<T> = {
  readonly status: number;
  readonly headers: Headers;
  /** Null if there is none. */
  readonly body: T;
  /** The body as it was received. */
  readonly text: string;
};

export interface Api {
  /**
   * Sends, and sends again after transient errors. Rejects with TaskTrackError, with the reason of the
   * signal, or with TypeError if a header cannot be sent. Null if a refusal shows that the server has
   * executed an earlier request (`doneWhen`) whose answer was lost.
   */
  send<T>(request: ApiRequest): Promise<ApiAnswer<T> | null>;
  /** Sends once, without a deadline; resolves as soon as the answer begins. */
  open(request: ApiRequest): Promise<Response>;
  /** The error of an answer that ended too early. */
  brokenOff(cause: unknown): TaskTrackError;
  /** How long to wait before the next try, after this number of tries. */
  backoffMs(tries: number): number;
  pause(ms: number, signal?: AbortSignal | undefined): Promise<void>;
}

export type ApiSetup = {
  readonly url: string;
  readonly options: ClientOptions;
  readonly clock: Clock;
  /** A random number from [0, 1). */
  readonly random: () => number;
};

/** 32 s with the shortest pauses: a server that restarts or is replaced is available again by then. */
const RETRIES = 10;
const TIMEOUT_MS = 30_000;
const FIRST_BACKOFF_MS = 250;
const LONGEST_BACKOFF_MS = 10_000;
/** The longest Retry-After that is applied. */
const LONGEST_RETRY_AFTER_MS = 60_000;

export function createApi({ url, options, clock, random }: ApiSetup): Api {
  const base = baseOf(url);
  checkHeaders(options.headers ?? {});
  const fetchIt: Fetch = options.fetch ?? ((target, init) => fetch(target, init));
  const retries = options.retries ?? RETRIES;
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const parse = options.parse ?? JSON.parse;

  async function send<T>(request: ApiRequest): Promise<ApiAnswer<T> | null> {
    for (let tries = 1; ; tries++) {
      try {
        return await sendOnce<T>(request);
      } catch (error) {
        if (request.signal?.aborted) throw request.signal.reason;
        if (tries > 1 && isDone(error, request)) return null;
        if (!isTransient(error) || tries > (request.retries ?? retries)) throw error;
        const askedMs = Math.min(error.retryAfterMs ?? 0, LONGEST_RETRY_AFTER_MS);
        await pause(Math.max(askedMs, backoffMs(tries)), request.signal);
      }
    }
  }

  async function sendOnce<T>(request: ApiRequest): Promise<ApiAnswer<T>> {
    const allowedMs = (request.timeoutMs ?? timeoutMs) + (request.waitMs ?? 0);
    const deadline = createDeadline(allowedMs, request.signal);
    try {
      const response = await call(request, deadline.signal);
      const text = await response.text().catch((cause: unknown) => {
        throw brokenOff(cause);
      });
      // A runtime may end the body of an aborted request as if it were complete.
      if (deadline.signal.aborted) throw brokenOff(deadline.signal.reason);
      // The type is that of the API, which the tests of the server check.
      const { status, headers } = response;
      return { status, headers, body: jsonOf(text, response, parse) as T, text };
    } finally {
      deadline.clear();
    }
  }

  const brokenOff = (cause: unknown): TaskTrackError => unreachable(`${base} broke off its answer`, cause);

  /** Rejects with a refusal; resolves with any other answer. */
  async function call(request: ApiRequest, signal: AbortSignal): Promise<Response> {
    const { method, path, body } = request;
    const headers: Record<string, string> = { accept: "application/json", ...options.headers };
    if (body !== undefined) headers["content-type"] = "application/json";
    Object.assign(headers, request.headers);
    checkHeaders(headers);
    const init: RequestInit = { method, headers, signal, ...(body === undefined ? {} : { body }) };
    const response = await fetchIt(base + path, init).catch((cause: unknown) => {
      throw unreachable(`${base} does not answer`, cause);
    });
    if (!response.ok) throw await refusalOf(response, clock.now());
    return response;
  }

  /** Aborts when the time is over or the signal of the caller aborts. */
  function createDeadline(ms: number, outer: AbortSignal | undefined) {
    const linked = linkedAbort(...(outer === undefined ? [] : [outer]));
    const cancelTimer = clock.after(ms, () => linked.abort(new Error(`no answer within ${ms} ms`)));
    const clear = (): void => {
      cancelTimer();
      linked.unlink();
    };
    return { signal: linked.signal, clear };
  }

  /**
   * Random between half of the pause and the whole pause, so that a thousand clients do not all return at the same time after a
   * restart.
   */
  const backoffMs = (tries: number): number =>
    Math.ceil(
      (1 + random()) * Math.min(LONGEST_BACKOFF_MS / 2, FIRST_BACKOFF_MS * 2 ** Math.min(tries - 1, 10)),
    );

  /** Rejects with the reason of the signal as soon as it aborts. */
  async function pause(ms: number, signal?: AbortSignal | undefined): Promise<void> {
    await sleep(clock, ms, signal);
    if (signal?.aborted) throw signal.reason;
  }

  return { send, open: (request) => call(request, request.signal ?? NEVER), brokenOff, backoffMs, pause };
}

const NEVER = new AbortController().signal;

const isDone = (error: unknown, { doneWhen = [] }: ApiRequest): boolean =>
  error instanceof TaskTrackError && doneWhen.includes(error.code);

/** Without the slash at its end. Throws TypeError unless it is an address of HTTP. */
function baseOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new TypeError(
      `expected the server's address, such as "http://localhost:8080", got ${JSON.stringify(url)}`,
    );
  }
  return (parsed.origin + parsed.pathname).replace(/\/+$/, "");
}

const HEADER_NAME = /^[!#$%&'*+.^`|~\w-]+$/;
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * Throws TypeError for headers that HTTP cannot transfer, before the first try. The runtime does not check this
 * everywhere: workerd accepts any text and sends it as UTF-8.
 */
function checkHeaders(headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (!HEADER_NAME.test(name))
      throw new TypeError(`headers: ${JSON.stringify(name)} is no name of a header`);
    if (!HEADER_VALUE.test(value)) {
      throw new TypeError(
        `headers: ${name} must be Latin-1 text without line breaks, got ${JSON.stringify(value)}`,
      );
    }
  }
}

const unreachable = (message: string, cause: unknown): TaskTrackError =>
  new TaskTrackError(`${message}: ${cause instanceof Error ? cause.message : String(cause)}`, {
    code: "unreachable",
    status: 0,
    cause,
  });

const NO_CONTENT = 204;

function jsonOf(text: string, { status, headers }: Response, parse: (text: string) => unknown): unknown {
  if (text === "" && status === NO_CONTENT) return null;
  try {
    return parse(text);
  } catch {
    throw new TaskTrackError(`Expected JSON, got ${JSON.stringify(text.slice(0, 80))}: is this TaskTrack?`, {
      code: "no_json",
      status,
      requestId: headers.get("x-request-id"),
    });
  }
}

/** The refusal of the server, or a description of an answer that is not from TaskTrack. */
async function refusalOf(response: Response, now: number): Promise<TaskTrackError> {
  const { status, headers } = response;
  const problem = problemOf(await response.text().catch(() => ""));
  return new TaskTrackError(problem.message ?? `The server answered ${status}`, {
    code: problem.code ?? `http_${status}`,
    status,
    requestId: headers.get("x-request-id"),
    fields: problem.fields,
    fieldsOmitted: problem.fieldsOmitted,
    retryAfterMs: retryAfterMs(headers.get("retry-after"), now),
  });
}

type SeenProblem = {
  readonly code?: string;
  readonly message?: string;
  readonly fields: readonly FieldFault[];
  readonly fieldsOmitted: number;
};

function problemOf(text: string): SeenProblem {
  try {
    const { code, error, errors, errors_omitted } = JSON.parse(text) as Record<string, unknown>; // each member is checked below
    return {
      ...(typeof code === "string" ? { code } : {}),
      ...(typeof error === "string" ? { message: error } : {}),
      fields: Array.isArray(errors) ? errors : [],
      fieldsOmitted: typeof errors_omitted === "number" ? errors_omitted : 0,
    };
  } catch {
    return { fields: [], fieldsOmitted: 0 };
  }
}

/** Seconds, or a date. */
function retryAfterMs(text: string | null, now: number): number | null {
  if (text === null) return null;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? null : Math.max(0, ms);
}
