import { refuse } from "../../wire/problem.ts";
import { targetLength } from "../request-path.ts";
import type { Call, RequestHeaders } from "../route.ts";

export const URL_BYTES = 8 * 1_024;
export const HEADER_BYTES = 16 * 1_024;

/** Each header has a colon, a space and a line end. */
const HEADER_EXTRA_BYTES = 4;

/** Refuses a URL or headers that are too long. */
export function checkLengths(call: Call): Call {
  const { url } = call.request;
  if (url.length > URL_BYTES && targetLength(url) > URL_BYTES) {
    throw refuse("uri_too_long", `The URL must be at most ${URL_BYTES} bytes long`);
  }
  if (bytesOf(call.headers) > HEADER_BYTES) {
    throw refuse("headers_too_large", `The headers must be at most ${HEADER_BYTES} bytes long`);
  }
  return call;
}

function bytesOf(headers: RequestHeaders): number {
  let bytes = 0;
  for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0) + HEADER_EXTRA_BYTES;
  return bytes;
}
