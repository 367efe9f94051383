import { expect, test } from "bun:test";
import { TaskTrackError } from "../../client/client.ts";
import { refusalLines } from "./refusal.ts";

const URL = "http://here";

test("a refusal is the server's sentence with its code and request", () => {
  const error = new TaskTrackError("Task not found", { code: "not_found", status: 404, requestId: "r-1" });
  expect(refusalLines(error, { url: URL, about: "task 7" })).toEqual([
    "task 7: Task not found (not_found, request r-1)",
  ]);
});

test("fields at fault stand on lines of their own, and nothing in them is obeyed", () => {
  const fields = [
    { pointer: "/tags/0", detail: "must not be empty" },
    { pointer: "", detail: "must name\u001b[2J a field" },
  ];
  const error = new TaskTrackError("all in one", { code: "invalid", status: 400, fields });
  expect(refusalLines(error, { url: URL })).toEqual([
    "the request is not valid (invalid)",
    "  tags/0 must not be empty",
    "  it must name\\x1b[2J a field",
  ]);
});

test("faults that the server did not list are counted", () => {
  const fields = [{ pointer: "/a", detail: "is unknown" }];
  const error = new TaskTrackError("all in one", {
    code: "invalid",
    status: 400,
    fields,
    fieldsOmitted: 412,
  });
  expect(refusalLines(error, { url: URL }).at(-1)).toBe("  and 412 more");
});

test("where nobody answers it says who does not, and the way out", () => {
  const error = new TaskTrackError("http://here does not answer: refused", {
    code: "unreachable",
    status: 0,
  });
  expect(refusalLines(error, { url: URL })).toEqual([
    "http://here does not answer: refused",
    "  start a server with `tasktrack serve`, or name another with --url or TASKTRACK_URL (now http://here)",
  ]);
});
