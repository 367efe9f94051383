import { describe, expect, test } from "bun:test";
import { isTaskError } from "../core/error.ts";
import type { Task } from "../core/task.ts";
import { ifMatch, isKnown } from "./conditional-headers.ts";

/** The fields of a task that conditions read. */
const task = { id: 1, version: 7, status: "pending" } as Task;

function isMet(header: string): boolean {
  try {
    ifMatch({ "if-match": header })?.(task);
    return true;
  } catch (error) {
    if (isTaskError(error, "version_mismatch")) return false;
    throw error;
  }
}

describe("a tag means version 7, also after a proxy has compressed the answer", () => {
  test.each([
    ...['"v7"', 'W/"v7"', '"v7-gzip"', 'W/"v7-gzip"', '"v7;gzip"', '"v7--gzip"', '"v7-br"', '"v7-zstd"'],
    ...['"v7-deflate"', '"v7-x-gzip"', '"v6", "v7-gzip"', '  W/"v6" ,W/"v7"', "*"],
  ])("%s", (header) => {
    expect(isMet(header)).toBe(true);
    expect(isKnown(task, { "if-none-match": header })).toBe(true);
    expect(isKnown({ ...task, status: "running" } as Task, { "if-none-match": header })).toBe(false);
  });
});

describe("a tag does not mean version 7", () => {
  test.each([
    ...[
      '"v6"',
      'W/"v6"',
      '"v70"',
      '"v77-gzip"',
      '"v07"',
      '"v-7"',
      '"7"',
      "v7",
      '"v7',
      'v7"',
      '"V7"',
      'w/"v7"',
    ],
    ...[
      '"v7x"',
      '"v7-"',
      '"v7;"',
      '"xv7"',
      '"v7.0"',
      '"v7 gzip"',
      "W/v7",
      'W/ "v7"',
      '"v7-gzip',
      '"gzip-v7"',
    ],
    ...[`"v${"7".repeat(400)}"`, '"v7-gzip;x=1"'],
  ])("%s", (header) => {
    expect(isMet(header)).toBe(false);
    expect(isKnown(task, { "if-none-match": header })).toBe(false);
  });
});
