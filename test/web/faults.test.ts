/** The validation errors of form fields have translations. A changed sentence of the server without its translation fails here. */
import { expect, test } from "bun:test";
import { isTaskError } from "../../src/core/error.ts";
import { LIMITS } from "../../src/core/task.ts";
import { PatchBody, specsOf } from "../../src/wire/task-input.ts";
import { validate } from "../../src/wire/validate.ts";
import { translatedFault } from "../../web/form/fault-texts.ts";

/** Each field of the forms with values that the server rejects: every rule of the field at least once. */
const INVALID: Readonly<Record<string, readonly unknown[]>> = {
  name: ["", "x".repeat(LIMITS.nameCodePoints + 1), "a\0b", "\ud800"],
  description: ["x".repeat(LIMITS.descriptionCodePoints + 1), "a\0b", "\ud800"],
  type: ["", "no spaces", "x".repeat(LIMITS.typeLength + 1)],
  tags: [
    Array.from({ length: LIMITS.tags + 1 }, (_, n) => `tag ${n}`),
    [""],
    ["x".repeat(LIMITS.tagCodePoints + 1)],
    ["a\0b"],
    ["\ud800"],
  ],
  labels: [
    Object.fromEntries(Array.from({ length: LIMITS.labels + 1 }, (_, n) => [`label${n}`, ""])),
    ...[{ "": "value" }, { "a b": "value" }, { a: "x".repeat(LIMITS.labelValueCodePoints + 1) }],
    ...[{ a: "a\0b" }, { a: "\ud800" }],
  ],
  priority: ["high", 1.5, LIMITS.priority + 1, -LIMITS.priority - 1, 1e300],
  max_attempts: ["many", 1.5, 0, LIMITS.maxAttempts + 1, 1e300],
  delay: ["", "soon", "-1s", "9000000h"],
  run_at: [
    ...["", "tomorrow", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "2026-13-01T00:00:00Z"],
    ...["2026-02-29T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z"],
    ...["2026-01-01T00:00:61Z", "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+00:60"],
  ],
  timeout: ["soon", "0s", "9000000h"],
  key: ["", "x".repeat(LIMITS.keyCodePoints + 1), "a\0b", "\ud800"],
};
const INVALID_BODIES: readonly object[] = [
  ...Object.entries(INVALID).flatMap(([field, values]) =>
    values.map((value) => ({ name: "valid", [field]: value })),
  ),
  { name: "valid", backoff: { base: "soon", max: "1h" } },
  { name: "valid", backoff: { base: "1s", max: "later" } },
  { name: "valid", run_at: "2026-01-01T00:00:00Z", delay: "1s" },
];

function detailsOf(parse: () => unknown): readonly string[] {
  try {
    parse();
  } catch (error) {
    if (isTaskError(error)) return error.fields.map(({ detail }) => detail);
    throw error;
  }
  return [];
}

const CHECKS: Readonly<Record<string, (body: object) => unknown>> = {
  create: (body) => specsOf({ value: body, text: JSON.stringify(body) }),
  edit: (body) => validate(PatchBody, body),
};

test.each(Object.keys(CHECKS))("the errors of an invalid %s request have Russian translations", (kind) => {
  const rejected = INVALID_BODIES.map((body) => ({ body, details: detailsOf(() => CHECKS[kind]?.(body)) }));
  const known = rejected.filter(({ details }) => !details.includes("is unknown or not yours to set")); // not in this form
  expect(known.filter(({ details }) => details.length === 0)).toEqual([]);
  const details = new Set(known.flatMap((one) => one.details));
  expect([...details].filter((detail) => translatedFault("ru", detail) === null)).toEqual([]);
  const translations = [...details].map((detail) => translatedFault("ru", detail));
  expect(translations.filter((text) => text === null || /\$\d|must/.test(text))).toEqual([]);
});
