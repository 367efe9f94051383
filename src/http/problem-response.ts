import { PROBLEM_STATUS, type Problem, problemDocument } from "../wire/problem.ts";

const RETRY_AFTER_S = "1";

/** A refusal as the answer to a request. */
export function problemResponse(
  problem: Problem,
  requestId: string,
  common: Readonly<Record<string, string>>,
): Response {
  const status = PROBLEM_STATUS[problem.code];
  const headers: Record<string, string> = {
    ...common,
    "content-type": "application/problem+json",
    "x-request-id": requestId,
    ...problem.headers,
  };
  if (status === 503) headers["retry-after"] = RETRY_AFTER_S;
  return new Response(problemDocument(problem, requestId), { status, headers });
}
