import type { Clock } from "../core/clock.ts";
import { BODY_BYTES, decodeJson, type JsonBody, parseBytes, parseJson, tooLarge } from "../wire/json-body.ts";
import { PROBLEM_STATUS, refuse } from "../wire/problem.ts";
import type { RequestHeaders } from "./guard.ts";
import { otherRequestsFirst } from "./pieces.ts";

/** The value of `readBody` alone. */
export const readJson = (request: Request, headers: RequestHeaders): Promise<unknown> =>
  readBody(request, headers).then(({ value }) => value);

/**
 * The request's body as JSON, read within limits: refused before it is read where its length is announced, as soon as
 * it grows too long where not. Throws or rejects with a refusal; nothing about the value is known yet.
 */
export function readBody(
  request: Request,
  headers: RequestHeaders,
  atMost: number = BODY_BYTES,
): Promise<JsonBody> {
  checkMediaType(headers);
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

/** Bodies of this length take milliseconds to decode, to parse and to check; each of the three has a turn of its own. */
const LARGE_BODY = 131_072;

async function parseLater(bytes: Uint8Array, atMost: number): Promise<JsonBody> {
  const text = decodeJson(bytes, atMost);
  await otherRequestsFirst();
  const body = parseJson(text);
  await otherRequestsFirst();
  return body;
}

/**
 * The same where there may be no body at all: undefined then, whatever type it would have had. Clients and proxies that do not know
 * the length beforehand send an empty body in chunks.
 */
export async function readOptionalJson(request: Request, headers: RequestHeaders): Promise<unknown> {
  const announced = headers["content-length"];
  if (announced === "0" || request.body === null) return undefined;
  if (announced !== undefined) return readJson(request, headers);
  const bytes = await readChunks(request, BODY_BYTES).catch(endedEarly);
  if (bytes.length === 0) return undefined;
  checkMediaType(headers);
  return (await parse(bytes, BODY_BYTES)).value;
}

/** Whether a body was announced and is not read to its end when the request is answered: a 413 alone ends the reading early. */
export const isBodyLeft = (request: Request, headers: RequestHeaders, { status }: Response): boolean =>
  (headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0") &&
  (!request.bodyUsed || status === PROBLEM_STATUS.body_too_large);

export const DISCARD_BYTES = 16 * BODY_BYTES;
export const DISCARD_MS = 5_000;

/**
 * Reads the rest of a request's body and drops it. Many clients read the answer only after they have sent the whole body. A proxy may
 * keep a connection after it has sent a part of a body, and the server would then read the next request as the rest of that body.
 * Resolves with true if the end of the body was reached within the bounds; if not, the answer must close the connection. Bun gives
 * handlers no body of GET, HEAD and TRACE.
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
    return false; // the client has gone
  } finally {
    cancelTimer();
  }
}

const JSON_TYPES: ReadonlySet<string> = new Set(["application/json", "application/merge-patch+json"]);

/** What `curl -d` and a bare `fetch` send. A page of another origin can send these too, but not without a mark. */
const BARE_TYPES: ReadonlySet<string> = new Set(["", "text/plain", "application/x-www-form-urlencoded"]);

function checkMediaType(headers: RequestHeaders): void {
  if ((headers["content-encoding"] ?? "identity") !== "identity") {
    throw refuse("unsupported_media_type", "The body must not be compressed");
  }
  const contentType = headers["content-type"] ?? "";
  if (contentType === "application/json") return;
  const [type = "", ...parameters] = contentType
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const isBare =
    headers.origin === undefined && headers["sec-fetch-site"] === undefined && BARE_TYPES.has(type);
  if (!JSON_TYPES.has(type) && !isBare) {
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

/** Stops at the first chunk that goes over the limit, and leaves the rest for `discardBody`. */
async function readChunks({ body }: Request, atMost: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader(); // a loop by `for await` would cancel the rest
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
