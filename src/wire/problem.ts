import { STATUS_CODES } from "node:http";
import { type ErrorCode, type FieldFault, TaskError } from "../core/error.ts";

/** Codes of refusals by HTTP, in addition to those of the engine. */
type HttpOnlyCode =
  | "malformed_body"
  | "bad_host"
  | "forbidden_origin"
  | "forbidden_host"
  | "unknown_route"
  | "method_not_allowed"
  | "body_too_large"
  | "uri_too_long"
  | "unsupported_media_type"
  | "headers_too_large"
  | "not_ready"
  | "internal";

export type ProblemCode = ErrorCode | HttpOnlyCode;

/** The HTTP status of each code. The codes are stable: clients depend on them. */
export const PROBLEM_STATUS: Readonly<Record<ProblemCode, number>> = {
  invalid: 400,
  malformed_body: 400,
  bad_host: 400,
  forbidden_origin: 403,
  forbidden_host: 403,
  not_found: 404,
  unknown_route: 404,
  method_not_allowed: 405,
  wrong_status: 409,
  key_taken: 409,
  version_mismatch: 412,
  lease_lost: 409,
  body_too_large: 413,
  uri_too_long: 414,
  unsupported_media_type: 415,
  idempotency_mismatch: 422,
  headers_too_large: 431,
  internal: 500,
  overloaded: 503,
  store_unavailable: 503,
  store_rejected: 503,
  not_ready: 503,
};

/** A refusal with everything that its answer contains. */
export type Problem = {
  readonly code: ProblemCode;
  readonly message: string;
  readonly fields?: readonly FieldFault[];
  /** How many invalid fields `fields` leaves out. */
  readonly fieldsOmitted?: number;
  readonly headers?: Readonly<Record<string, string>>;
};

/** Makes a refusal, which the caller throws. It is not an Error, because an expected answer needs no stack. */
export const refuse = (
  code: ProblemCode,
  message: string,
  more: Omit<Problem, "code" | "message"> = {},
): Refusal => ({
  [REFUSAL]: { code, message, ...more },
});

const REFUSAL = Symbol("refusal");
type Refusal = { readonly [REFUSAL]: Problem };

const isRefusal = (thrown: unknown): thrown is Refusal =>
  typeof thrown === "object" && thrown !== null && REFUSAL in thrown;

/** The problem to answer for a thrown value; null for a defect. */
export function problemOf(thrown: unknown): Problem | null {
  if (isRefusal(thrown)) return thrown[REFUSAL];
  if (thrown instanceof TaskError) {
    const { code, message, fields, fieldsOmitted } = thrown;
    return { code, message, fields, fieldsOmitted };
  }
  return null;
}

/** The problem as JSON by RFC 9457, with the member `error` that clients of the first version read. */
export function problemDocument(problem: Problem, requestId: string): string {
  const status = PROBLEM_STATUS[problem.code];
  const message = bounded(problem.message);
  return JSON.stringify({
    error: message,
    type: "about:blank",
    title: STATUS_CODES[status] ?? "Error",
    status,
    detail: message,
    code: problem.code,
    request_id: requestId,
    ...(problem.fields?.length ? { errors: problem.fields } : {}),
    ...(problem.fieldsOmitted ? { errors_omitted: problem.fieldsOmitted } : {}),
  });
}

const MESSAGE_LENGTH = 4_000;

/**
 * A message may quote the request: the JSON parser of Bun quotes an unexpected identifier completely, even
 * one of a megabyte.
 */
const bounded = (message: string): string =>
  message.length <= MESSAGE_LENGTH ? message : `${message.slice(0, MESSAGE_LENGTH).toWellFormed()}…`;
