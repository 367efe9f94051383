import { expect } from "bun:test";
import type { ProblemCode } from "../../src/wire/problem.ts";

export type ProblemBody = {
  readonly error: string;
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly request_id: string;
  readonly errors?: readonly { readonly pointer: string; readonly detail: string }[];
  readonly errors_omitted?: number;
};

/** An upper bound for a refusal: a hundred faults with the longest texts. */
const BYTES_AT_MOST = 300_000;
const FAULTS_AT_MOST = 100;

const MEMBERS = ["error", "type", "title", "status", "detail", "code", "request_id"];

/** Checks the properties of every refusal, and returns its body for further checks. */
export async function expectProblem(
  response: Response,
  expected: { readonly status: number; readonly code: ProblemCode },
): Promise<ProblemBody> {
  const text = await response.text();
  expect(`${response.status} ${text}`).toStartWith(`${expected.status} {`);
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  const problem = JSON.parse(text) as ProblemBody; // each member is checked below
  expect(Buffer.byteLength(text)).toBeLessThan(BYTES_AT_MOST);
  expect(Object.keys(problem).filter((member) => !member.startsWith("errors"))).toEqual(MEMBERS);
  expect(problem).toMatchObject({ status: expected.status, code: expected.code, type: "about:blank" });
  expect(problem.error).toBeString();
  expect(problem.error).not.toBeEmpty();
  expect(problem.detail).toBe(problem.error);
  expect(problem.title).not.toBeEmpty();
  expect(problem.request_id).not.toBeEmpty();
  expect(problem.request_id).toBe(response.headers.get("x-request-id") ?? "(no header)");
  expect(problem.errors?.length ?? 0).toBeLessThanOrEqual(FAULTS_AT_MOST);
  if (problem.errors_omitted !== undefined) expect(problem.errors_omitted).toBeGreaterThan(0);
  for (const fault of problem.errors ?? []) {
    expect(fault).toEqual({ pointer: expect.any(String), detail: expect.any(String) });
  }
  expect(text).not.toMatch(/<html|<!doctype|\n\s+at |node_modules|\.ts:\d/i);
  return problem;
}
