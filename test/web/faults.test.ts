/** The sentences of the server have translations. A changed sentence without its translation fails here. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isTaskError } from "../../src/core/error.ts";
import { cancel, edit, retry } from "../../src/core/lifecycle.ts";
import { ENDED_STATUSES, LIMITS } from "../../src/core/task.ts";
import { openStore } from "../../src/store/open.ts";
import { durabilityOf as durabilityOfPostgres } from "../../src/store/postgres/store.ts";
import { durabilityOf as durabilityOfRedis, type Profile } from "../../src/store/redis/fitness.ts";
import { PROBLEM_STATUS } from "../../src/wire/problem.ts";
import { PatchBody, specsOf } from "../../src/wire/task-input.ts";
import { validate } from "../../src/wire/validate.ts";
import { translatedFault } from "../../web/form/fault-texts.ts";
import { translatedError, translatedStore } from "../../web/i18n/server-texts.ts";
import { setupOf } from "../support/stores.ts";
import { endedTask, NOON, pendingTask, runningTask } from "../support/tasks.ts";

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
  const known = rejected.filter(({ details }) => !details.includes("is unknown or read-only")); // not in this form
  expect(known.filter(({ details }) => details.length === 0)).toEqual([]);
  const details = new Set(known.flatMap((one) => one.details));
  expect([...details].filter((detail) => translatedFault("ru", detail) === null)).toEqual([]);
  const translations = [...details].map((detail) => translatedFault("ru", detail));
  expect(translations.filter((text) => text === null || /\$\d|must/.test(text))).toEqual([]);
});

const noFields = { fields: [], fieldsOmitted: 0 };

test("every code of the API has a Russian meaning, which comes before a sentence without a translation", () => {
  for (const code of Object.keys(PROBLEM_STATUS)) {
    const text = translatedError("ru", { code, message: "a new sentence", ...noFields });
    expect(text).toMatch(/^[А-Я][^:]+: a new sentence$/);
    expect(translatedError("en", { code, message: "a new sentence", ...noFields })).toBe("a new sentence");
  }
});

test("the refusals of a cancel, a retry and an edit have Russian translations", () => {
  const patch = { priority: 1, maxAttempts: 2 };
  const steps = [
    ...ENDED_STATUSES.map((status) => () => cancel(endedTask(status), NOON)),
    ...[pendingTask(), runningTask()].map((task) => () => retry(task, NOON)),
    ...[runningTask(), endedTask("failed")].map((task) => () => edit(task, patch, NOON)),
  ];
  for (const step of steps) {
    const text = translatedError("ru", refusalOf(step));
    expect(text).toContain("7"); // the id of the sample task
    expect(text.replaceAll(/priority, max_attempts/g, "")).not.toMatch(/[a-z]/i);
  }
});

function refusalOf(step: () => unknown): Parameters<typeof translatedError>[1] {
  try {
    step();
  } catch (error) {
    if (isTaskError(error)) return { code: error.code, message: error.message, ...noFields };
    throw error;
  }
  throw new Error("expected a refusal");
}

test("an invalid request names its fields, each with its translated error", () => {
  const fields = [
    { pointer: "/q", detail: "must not be empty" },
    { pointer: "", detail: "of a later version" },
  ];
  const invalid = { code: "invalid", message: "/q must not be empty; body of a later version", fields };
  expect(translatedError("ru", { ...invalid, fieldsOmitted: 0 })).toBe(
    "Запрос содержит недопустимые значения: /q не должно быть пустым; тело of a later version",
  );
});

/** A Redis that reports these settings. */
const redisWith = (more: Partial<Profile>): string =>
  durabilityOfRedis({
    ...({ product: "Redis", version: "7.0.15", mode: "standalone", isReplica: false } as const),
    ...{ eviction: "noeviction", appends: true, fsync: "always", savesSnapshots: false },
    ...more,
  });

test("the sentence about each store has a Russian translation", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tasktrack-texts-"));
  const stores = await Promise.all(
    ["memory:", `sqlite:${join(folder, "t.db")}`].map((url) => openStore(setupOf(url))),
  );
  const texts = [
    ...stores.map(({ durability }) => durability),
    ...["always", "everysec", "no"].map((fsync) => redisWith({ fsync })),
    redisWith({ appends: false, savesSnapshots: true }),
    redisWith({ appends: false }),
    redisWith({ appends: null, savesSnapshots: null }),
    durabilityOfPostgres({ version: "15.18 (Debian)", fsync: "on", synchronous_commit: "on" }),
    durabilityOfPostgres({ version: "15.18 (Debian)", fsync: "on", synchronous_commit: "off" }),
    durabilityOfPostgres({ version: "15.18 (Debian)", fsync: "off", synchronous_commit: "on" }),
  ];
  for (const store of stores) await store.close();
  rmSync(folder, { recursive: true });
  expect(new Set(texts).size).toBe(texts.length);
  for (const text of texts) {
    expect(translatedStore("en", text)).toBe(text);
    expect(translatedStore("ru", text)).not.toMatch(/\b(?:the|is|may|of|a)\b|\$\d|undefined/);
  }
});
