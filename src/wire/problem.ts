import { STATUS_CODES } from "node:http";
import { type ErrorCode, type FieldFault, TaskError } from "../core/error.ts";

/** What only HTTP can refuse, beside what the engine refuses. */
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

/** Each code's status; the keys are the stable enum of the contract. */
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

/** A refusal on its way to the client. */
export type Problem = {
  readonly code: ProblemCode;
  readonly message: string;
  readonly fields?: readonly FieldFault[];
  /** How many more fields are at fault than `fields` lists. */
  readonly fieldsOmitted?: number;
  readonly headers?: Readonly<Record<string, string>>;
};

/** How a handler refuses: it throws what this makes. Not an Error: an expected answer needs no stack. */
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

/** What the client is told of anything thrown; null when it was a defect. */
export function problemOf(thrown: unknown): Problem | null {
  if (isRefusal(thrown)) return thrown[REFUSAL];
  if (thrown instanceof TaskError) {
    const { code, message, fields, fieldsOmitted } = thrown;
    return { code, message, fields, fieldsOmitted };
  }
  return null;
}

/** RFC 9457, with the member `error` that clients of the first version read; as JSON. */
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

/** A message may quote what came: the runtime's parser names an unexpected word whole, though it be a megabyte long. */
const bounded = (message: string): string =>
  message.length <= MESSAGE_LENGTH ? message : `${message.slice(0, MESSAGE_LENGTH).toWellFormed()}…`;
