import { expect, test } from "bun:test";
import { isTaskError } from "../core/error.ts";
import { Claim, Complete, Completes, ProgressReport } from "../http/work-schemas.ts";
import { faultsOf } from "./faults.ts";
import { problemDocument, problemOf } from "./problem.ts";
import { specsOf } from "./task-input.ts";

type Document = {
  readonly error: string;
  readonly detail: string;
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
  readonly errors_omitted?: number;
};

/** The problem document of a POST with this value. */
function refusalOf(value: unknown): { readonly document: Document; readonly bytes: number } {
  try {
    specsOf({ value, text: JSON.stringify(value) });
  } catch (error) {
    if (!isTaskError(error, "invalid")) throw error;
    const text = problemDocument({ ...problemOf(error), code: "invalid", message: error.message }, "r");
    return { document: JSON.parse(text) as Document, bytes: Buffer.byteLength(text) };
  }
  throw new Error("it was accepted");
}

const unknownKeys = (count: number): Record<string, number> =>
  Object.fromEntries(Array.from({ length: count }, (_, n) => [`key_${n}`, 1]));

test("up to a hundred faults are all listed", () => {
  const { document } = refusalOf({ name: "a", ...unknownKeys(100) });
  expect(document.errors).toHaveLength(100);
  expect(document).not.toHaveProperty("errors_omitted");
});

test("of more faults a hundred are listed and the others are counted", () => {
  const { document, bytes } = refusalOf({ name: "a", ...unknownKeys(80_000) });
  expect(document.errors).toHaveLength(100);
  expect(document.errors[99]).toEqual({ pointer: "/key_99", detail: "is unknown or read-only" });
  expect(document.errors_omitted).toBe(79_900);
  expect(document.error).toEndWith("; /key_9 is unknown or read-only; and 79990 more");
  expect(bytes).toBeLessThan(20_000);
});

test("faults of many tasks are counted together", () => {
  const { document } = refusalOf(Array.from({ length: 1_000 }, () => ({ ...unknownKeys(80) })));
  expect(document.errors).toHaveLength(100);
  expect(document.errors_omitted).toBe(1_000 * (80 + 1) - 100); // each has no name either
  expect(document.errors[0]?.pointer).toBe("/0/name");
});

test("the sentence names up to ten faults", () => {
  const { document } = refusalOf({ ...unknownKeys(2) });
  expect(document.error).toBe(
    "/name must be a string; /key_0 is unknown or read-only; /key_1 is unknown or read-only",
  );
  expect(document.detail).toBe(document.error);
});

test("a key of 100,000 characters is shortened", () => {
  const { document, bytes } = refusalOf({ name: "a", ["k".repeat(100_000)]: 1 });
  expect(document.errors).toEqual([{ pointer: `/${"k".repeat(255)}`, detail: "is unknown or read-only" }]);
  expect(bytes).toBeLessThan(2_000);
});

test("keys whose JSON is six times as long stay within the limit", () => {
  const keys = Array.from({ length: 300 }, (_, n) => [`${"\u0001".repeat(400)}${n}`, 1]);
  const { bytes } = refusalOf({ name: "a", ...Object.fromEntries(keys) });
  expect(bytes).toBeLessThan(300_000);
});

test("a message that quotes the request is shortened", () => {
  const quoted = problemDocument({ code: "malformed_body", message: "a".repeat(1_000_000) }, "r");
  expect(quoted.length).toBeLessThan(10_000);
  const cutInPair = problemDocument(
    { code: "malformed_body", message: `${"a".repeat(3_999)}\u{1f600}` },
    "r",
  );
  expect((JSON.parse(cutInPair) as Document).error.isWellFormed()).toBe(true);
});

test.each([
  [Claim, { worker: "w", types: ["a"], max: 0 }, "/max must be at least 1"],
  [Claim, { worker: "w", types: ["a"], max: 1_001 }, "/max must be at most 1000"],
  [Claim, { worker: "w", types: ["a"], max: 1.5 }, "/max must be a whole number"],
  [Claim, { worker: "w", types: ["a"], max: 2 ** 60 }, "/max must be at most 1000"],
  [Claim, { worker: "w", types: ["a"], request: "" }, "/request must not be empty"],
  [Complete, { token: "x".repeat(256) }, "/token must be at most 255 characters long"],
  [ProgressReport, { percent: 101 }, "/percent must be at most 100"],
  [Completes, { tasks: [] }, "/tasks must not be empty"],
  [ProgressReport, { percent: -1 }, "/percent must be at least 0"],
] as const)("a limit is described in a sentence: %#", (schema, value, expected) => {
  const { listed } = faultsOf(schema.safeParse(value).error?.issues ?? []);
  expect(listed.map(({ pointer, detail }) => `${pointer} ${detail}`)).toContain(expected);
});
