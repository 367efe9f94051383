import { describe, expect, test } from "bun:test";
import { pendingTask, runningTask } from "../../../test/support/tasks.ts";
import { FIELDS_IN, narrowed } from "../../core/parts.ts";
import { bodyOf, headOf, partsOf } from "./row.ts";

/** A head and the values of a body as version 0.1.0 has written them: the order of their values must never change. */
const HEAD =
  '1033,\n"running",\n5,\n3,\n2,\n1767268770000,\n1767268780000,\n"3.a",\n1767268830000,\n30000,\nnull,\n"worker \\"1\\"",\n-7,\n"work",\n"a key"';
const FIRST_BODY =
  '"name","a\\ndescription",["a","b"],1767268740000,60000,3,1000,60000,1767268740000,1,2,1234,[{"attempt":1,"worker":"w","startedAt":1,"finishedAt":2,"outcome":"failed","error":{"code":"c","message":"m"}}],null,{"code":"c","message":"m"}';
/** Fields that were added later follow at the end. */
const BODY = `[${FIRST_BODY},{"region":"eu"}]`;

const task = runningTask(
  {
    ...{ id: 7, version: 5, claims: 3, attempt: 2, failures: 1, losses: 2, workedMs: 1_234 },
    ...{ name: "name", description: "a\ndescription", type: "work", priority: -7, key: "a key" },
    ...{
      tags: ["a", "b"],
      labels: { region: "eu" },
      payload: '{"a": 1}',
      timeoutMs: 60_000,
      maxAttempts: 3,
      token: "3.a",
    },
    ...{ runAt: 1_767_268_740_000, createdAt: 1_767_268_740_000, updatedAt: 1_767_268_770_000 },
    ...{ startedAt: 1_767_268_780_000, backoff: { baseMs: 1_000, maxMs: 60_000 } },
    ...{ progress: { percent: 12.5, message: "half" }, error: { code: "c", message: "m" } },
    attempts: [
      {
        ...{ attempt: 1, worker: "w", startedAt: 1, finishedAt: 2, outcome: "failed" },
        error: { code: "c", message: "m" },
      },
    ],
  },
  { worker: 'worker "1"', until: 1_767_268_830_000, leaseMs: 30_000, revokeAt: null },
);
const row = {
  head: HEAD,
  body: BODY,
  progress: '{"percent":12.5,"message":"half"}',
  payload: '{"a": 1}',
  result: null,
};

describe("a task in Redis", () => {
  test("is written in the order that existing stores have", () => {
    expect(headOf(task).replace(/^\d+/, "1033")).toBe(HEAD);
    expect(bodyOf(task)).toBe(BODY);
  });

  test.each(["whole", "light", "head"] as const)("is read as it was written: %s", (parts) => {
    expect(partsOf(7, row, parts)).toStrictEqual(narrowed(task, parts));
    expect(Object.keys(partsOf(7, row, parts)).sort()).toEqual([...FIELDS_IN[parts]].sort());
  });

  test("has no labels if version 0.1.0 has written it", () => {
    expect(partsOf(7, { ...row, body: `[${FIRST_BODY}]` }, "whole")).toStrictEqual({ ...task, labels: {} });
  });

  test("has no lease while it is pending", () => {
    const pending = pendingTask();
    const read = partsOf(pending.id, { ...row, head: headOf(pending), body: bodyOf(pending) }, "head");
    expect(read).toStrictEqual(narrowed(pending, "head"));
  });

  test("that was read without its long texts has a head without their size", () => {
    const { payload: _payload, result: _result, ...light } = task;
    expect(headOf(light)).toMatch(/^\+\d+,\n/);
  });
});
