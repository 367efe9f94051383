import { expect, test } from "bun:test";
import { STATUSES } from "../core/task.ts";
import { readEntry, STATUS_CODES } from "./changes-text.ts";

test("every status has a code of its own", () => {
  const codes = STATUSES.map((status) => STATUS_CODES[status]);
  expect(new Set(codes).size).toBe(STATUSES.length);
  expect(codes.every((code) => code.length === 1)).toBe(true);
});

test("the changes of an entry are read with their revs, statuses and kinds", () => {
  const text = STATUSES.map((status, at) => `${at + 1} 3 ${STATUS_CODES[status]}${"+~%-~"[at]}`).join(";");
  const kinds = ["created", "changed", "progress", "deleted", "changed"] as const;
  expect(readEntry(text, 10)).toEqual(
    STATUSES.map((status, at) => ({
      rev: 10 + at,
      id: at + 1,
      version: 3,
      status,
      kind: kinds[at] ?? "changed",
    })),
  );
});

test("an unknown code is a defect", () => {
  expect(() => readEntry("1 1 x+", 1)).toThrow("x+");
  expect(() => readEntry("1 1 p?", 1)).toThrow("p?");
});
