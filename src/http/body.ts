import { z } from "zod";
import type { Clock } from "../core/clock.ts";
import { BODY_BYTES, decodeJson, type JsonBody, parseBytes, parseJson, tooLarge } from "../wire/json-body.ts";
import { PROBLEM_STATUS, refuse } from "../wire/problem.ts";
import { validate } from "../wire/validate.ts";
import { yieldToEventLoop } from "./json-list.ts";
import type { BodyRule, Call, RequestHeaders } from "./route.ts";

const JSON_TYPES: ReadonlySet<string> = new Set(["application/json", "application/merge-patch+json"]);

/** The rule of a route that reads JSON. */
export const jsonBody = (schema: z.ZodType, atMostBytes: number = BODY_BYTES): BodyRule => ({
  schema,
  accepts: JSON_TYPES,
  atMostBytes,
});

/**
 * The rule of a route that needs no body and accepts an empty one. The OpenAPI document shows no body, so
 * that generated calls have no argument for it: for the optional body of version 0.1, the Go client of
 * openapi-generator sends `null` when there is none.
 */
export const EMPTY_BODY: BodyRule = { schema: null, accepts: JSON_TYPES, atMostBytes: BODY_BYTES };

/** For the descriptions of such routes. */
export const NO_BODY = "No body is needed; an empty object and `null` are accepted.";

/** As `readBody`, without the text. */
export const readJson = (call: Call): Promise<unknown> => readBody(call).then(({ value }) => value);

/**
 * Reads the body of a request as JSON, within the limits of its route. A body that is too long is refused
 * before it is read if its length is announced; if not, as soon as it exceeds the limit. Throws or rejects
 * with a refusal. The value is not checked.
 */
export function readBody({ route, request, headers }: Call): Promise<JsonBody> {
  const { accepts, atMostBytes: atMost } = ruleOf(route);
  checkMediaType(headers, accepts);
  const announced = headers["content-length"];
  if (Number(announced) > atMost) throw tooLarge(atMost);
  const reading = announced === undefined ? readChunks(request, atMost) : request.bytes();
  return reading.then((bytes) => parse(bytes, atMost), endedEarly);
}

function endedEarly(): never {
  throw refuse("malformed_body", "The body ended before it was complete");
}

const parse = (bytes: Uint8Array, atMost: number): JsonBody | Promise<JsonBody> =>
  bytes.length > LARGE_BODY ? parseLater(bytes, atMost) : parseBytes(bytes, atMost);

/**
 * Longer bodies take milliseconds to decode, to parse and to check, so each of these steps has its own turn
 * of the event loop.
 */
const LARGE_BODY = 131_072;

async function parseLater(bytes: Uint8Array, atMost: number): Promise<JsonBody> {
  const text = decodeJson(bytes, atMost);
  await yieldToEventLoop();
  const body = parseJson(text);
  await yieldToEventLoop();
  return body;
}

const EmptyBody = z.strictObject({});

/**
 * Checks the body of a route that needs none. The body may be missing, empty, `null` or an empty object.
 * Clients and proxies that do not know the length in advance send an empty body in chunks.
 */
export async function readEmptyBody(call: Call): Promise<void> {
  validate(EmptyBody, (await readOptionalJson(call)) ?? {});
}

/** Undefined if the body is missing or empty. The media type is then not checked. */
async function readOptionalJson(call: Call): Promise<unknown> {
  const { route, request, headers } = call;
  const announced = headers["content-length"];
  if (announced === "0" || request.body === null) return undefined;
  if (announced !== undefined) return readJson(call);
  const { accepts, atMostBytes } = ruleOf(route);
  const bytes = await readChunks(request, atMostBytes).catch(endedEarly);
  if (bytes.length === 0) return undefined;
  checkMediaType(headers, accepts);
  return (await parse(bytes, atMostBytes)).value;
}

function ruleOf({ id, body }: Call["route"]): BodyRule {
  if (body === undefined) throw new Error(`${id} reads a body and names no limits for it`);
  return body;
}

/** Whether a request has a body that was not read to its end. Only a 413 stops reading before the end. */
export const isBodyLeft = (request: Request, headers: RequestHeaders, { status }: Response): boolean =>
  (headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0") &&
  (!request.bodyUsed || status === PROBLEM_STATUS.body_too_large);

export const DISCARD_BYTES = 16 * BODY_BYTES;
export const DISCARD_MS = 5_000;

/**
 * Reads the rest of a request's body and drops it. Many clients read the answer only after they have sent the
 * whole body. A proxy may keep a connection after it has sent a part of a body, and the server would then
 * read the next request as the rest of that body. Resolves with true if the end of the body was reached
 * within the bounds; if not, the answer must close the connection. Bun gives handlers no body of GET, HEAD
 * and TRACE.
 */
export async function discardBody(
  { body }: Request,
  headers: RequestHeaders,
  clock: Clock,
): Promise<boolean> {
  if (body === null || Number(headers["content-length"]) > DISCARD_BYTES) return false;
  const reader = body.getReader();
  let isLate = false;
  const cancelTimer = clock.after(DISCARD_MS, () => {
    isLate = true;
    void reader.cancel();
  });
  try {
    for (let length = 0; length <= DISCARD_BYTES; ) {
      const { done, value } = await reader.read();
      if (done) return !isLate;
      length += value.length;
    }
    return false;
  } catch {
    return false; // the client has closed the connection
  } finally {
    cancelTimer();
  }
}

/**
 * The media types of `curl -d` and of `fetch` without headers. Pages of another origin can send these too,
 * but their browser adds a header.
 */
const BARE_TYPES: ReadonlySet<string> = new Set(["", "text/plain", "application/x-www-form-urlencoded"]);

function checkMediaType(headers: RequestHeaders, accepts: ReadonlySet<string>): void {
  if ((headers["content-encoding"] ?? "identity") !== "identity") {
    throw refuse("unsupported_media_type", "The body must not be compressed");
  }
  const contentType = headers["content-type"] ?? "";
  if (accepts.has(contentType)) return;
  const [type = "", ...parameters] = contentType
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const isBare =
    headers.origin === undefined && headers["sec-fetch-site"] === undefined && BARE_TYPES.has(type);
  if (!accepts.has(type) && !isBare) {
    throw refuse(
      "unsupported_media_type",
      `The body must be application/json, not ${JSON.stringify(contentType)}`,
    );
  }
  const charset = parameters.find((parameter) => parameter.startsWith("charset="));
  if (charset !== undefined && !/^charset="?utf-?8"?$/.test(charset)) {
    throw refuse("unsupported_media_type", "JSON must be UTF-8");
  }
}

/** Stops at the first chunk that exceeds the limit, and leaves the rest for `discardBody`. */
async function readChunks({ body }: Request, atMost: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader(); // `for await` would cancel the rest of the body
  const chunks: Uint8Array[] = [];
  let length = 0;
  while (length <= atMost) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
  }
  reader.releaseLock();
  return Buffer.concat(chunks);
}
