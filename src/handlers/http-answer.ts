import { formatDurationMs } from "../core/duration.ts";
import { FAILURES } from "../core/outcome.ts";
import { LIMITS } from "../core/task.ts";
import { fail, readResult, snooze } from "../processor/handler.ts";
import type { Answer } from "./http-call.ts";

/** The shortest and the longest delay that a Retry-After may cause. */
const SHORTEST_SNOOZE_MS = 1_000;
const LONGEST_SNOOZE_MS = 3_600_000;

const LINE_LENGTH = 200;

/** Statuses below 500 after which another attempt may succeed. */
const PASSING: ReadonlySet<number> = new Set([408, 425, 429]);

/** Statuses whose Retry-After counts. */
const WITH_RETRY_AFTER: ReadonlySet<number> = new Set([429, 503]);

/** The result of the task, or a verdict. */
export function meaningOf(answer: Answer, asked: { readonly host: string; readonly now: number }): unknown {
  const { status } = answer;
  if (status >= 200 && status < 300) return resultOf(answer, asked.host);
  const waitMs = WITH_RETRY_AFTER.has(status) ? retryAfterMs(answer.headers["retry-after"], asked.now) : null;
  if (waitMs !== null) return snooze(formatDurationMs(waitMs));
  return fail(`${asked.host} answered ${status}${detailOf(answer)}`, {
    code: `http_${status}`,
    retryable: PASSING.has(status) || (status >= 500 && status < 600),
  });
}

function resultOf(answer: Answer, host: string): unknown {
  if (answer.isCut) {
    return fail(`${host} answered ${answer.status} with more than ${LIMITS.resultBytes} bytes`, {
      code: FAILURES.resultTooLarge,
      retryable: false,
    });
  }
  const encoding = answer.headers["content-encoding"] ?? "identity";
  if (encoding.toLowerCase() !== "identity") {
    return fail(`${host} answered ${answer.status} in ${line(encoding)}, which it was not asked for`, {
      code: "http_encoding",
      retryable: false,
    });
  }
  const text = textOf(answer);
  if (text === "") return null;
  const result = isJson(answer.headers["content-type"]) ? readResult(text) : null;
  return result === null ? text : result.value;
}

/** Without a content type, the text is parsed if it is JSON. */
const isJson = (contentType: string | undefined): boolean =>
  contentType === undefined || /^\s*(?:application|text)\/(?:[^;\s]*\+)?json\s*(?:;|$)/i.test(contentType);

const textOf = ({ body }: Answer): string => new TextDecoder().decode(body);

/**
 * The detail of an error: the target of a redirect (only its origin, because paths may contain secrets), or
 * the first line of the body.
 */
function detailOf(answer: Answer): string {
  const { status, headers } = answer;
  if (status >= 300 && status < 400 && headers.location !== undefined) {
    const origin = URL.parse(headers.location)?.origin ?? "another path";
    return `: a redirect to ${line(origin)}, and redirects are not followed`;
  }
  const first = line(textOf(answer));
  return first === "" ? "" : `: ${first}`;
}

/** The first line that is not blank, shortened and without control characters. */
const line = (text: string): string =>
  (text.split(/[\r\n]/).find((one) => one.trim() !== "") ?? "")
    .replaceAll(/[\p{Cc}\s]+/gu, " ")
    .trim()
    .slice(0, LINE_LENGTH);

/** Retry-After in seconds, or as a date (RFC 9110 10.2.3); null if it is neither. */
export function retryAfterMs(text: string | undefined, now: number): number | null {
  if (text === undefined) return null;
  const ms = /^\d+$/.test(text) ? Number(text) * 1_000 : dateOf(text) - now;
  return Number.isNaN(ms) ? null : Math.min(LONGEST_SNOOZE_MS, Math.max(SHORTEST_SNOOZE_MS, ms));
}

/** Accepts the three forms of the standard only. They all begin with the day of the week. */
const dateOf = (text: string): number => (/^[A-Z][a-z]{2,8},? /.test(text) ? Date.parse(text) : Number.NaN);
