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

test("invalid fields have lines of their own, without control characters", () => {
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

test("omitted fields are counted", () => {
  const fields = [{ pointer: "/a", detail: "is unknown" }];
  const error = new TaskTrackError("all in one", {
    code: "invalid",
    status: 400,
    fields,
    fieldsOmitted: 412,
  });
  expect(refusalLines(error, { url: URL }).at(-1)).toBe("  and 412 more");
});

test("without an answer it names the server, and how to name another", () => {
  const error = new TaskTrackError("http://here does not answer: refused", {
    code: "unreachable",
    status: 0,
  });
  expect(refusalLines(error, { url: URL })).toEqual([
    "http://here does not answer: refused",
    "  start a server with `tasktrack serve`, or give another address with --url or TASKTRACK_URL (now http://here)",
  ]);
});
