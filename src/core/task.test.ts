import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { endedTask, NOON, pendingTask, runningTask } from "../../test/support/tasks.ts";
import {
  claimOrder,
  codePoints,
  descriptionFault,
  durationMs,
  ENDED_STATUSES,
  hasLabel,
  isEnded,
  isLive,
  isRunning,
  LIMITS,
  labelFault,
  labelNameFault,
  labelsFrom,
  labelTexts,
  nameFault,
  STATUSES,
  storableText,
  takesType,
  textFault,
} from "./task.ts";

const ASTRAL = "\u{1f600}"; // one code point, two units

describe("which types a pattern takes", () => {
  test.each([
    ["simulate", "simulate", true],
    ["simulate", "simulate2", false],
    ["simulate", "Simulate", false],
    ["video.*", "video.encode", true],
    ["video.*", "video.", true],
    ["video.*", "video", false],
    ["video.*", "videos.encode", false],
    ["video*", "videos.encode", true],
    ["*", "anything", true],
    ["*.encode", "video.encode", false],
    ["a*c", "abc", false],
  ])("%j takes %j: %p", (pattern, type, taken) => {
    expect(takesType(pattern, type)).toBe(taken);
  });
});

describe("the order of claims", () => {
  const task = (id: number, priority: number, runAt: number) => pendingTask({ id, priority, runAt });

  test("is priority first, then due time, then age", () => {
    const ordered = [task(9, 10, 300), task(4, 10, 400), task(2, 0, 100), task(3, 0, 100), task(1, -5, 1)];
    for (const shuffled of [ordered.toReversed(), ordered.toSorted((a, b) => a.id - b.id)]) {
      expect(shuffled.toSorted(claimOrder).map(({ id }) => id)).toEqual([9, 4, 2, 3, 1]);
    }
  });

  test("is a strict order for any tasks", () => {
    const small = fc.integer({ min: -2, max: 2 });
    const some = fc.tuple(small, small, small).map(([id, priority, runAt]) => task(id + 3, priority, runAt));
    fc.assert(
      fc.property(some, some, some, (a, b, c) => {
        expect(Math.sign(claimOrder(a, b))).toBe(-Math.sign(claimOrder(b, a)) + 0);
        if (claimOrder(a, b) < 0 && claimOrder(b, c) < 0) expect(claimOrder(a, c)).toBeLessThan(0);
        expect(claimOrder(a, b) === 0).toBe(
          a.id === b.id && a.priority === b.priority && a.runAt === b.runAt,
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe("the time spent working", () => {
  const working = runningTask({ workedMs: 1_500, startedAt: NOON }, { until: NOON + 20_000 });
  test.each([
    ["a task that never ran", pendingTask(), 0],
    ["a task that waits for its next attempt", pendingTask({ workedMs: 1_234 }), 1_234],
    ["a task that has ended", endedTask("done", { workedMs: 9_876 }), 9_876],
    ["a task whose second attempt has just begun", working, 1_500],
  ])("of %s does not depend on the time", (_what, task, ms) => {
    expect(durationMs(task, NOON)).toBe(ms);
  });

  test.each([
    [5_000, 6_500],
    [20_000, 21_500],
    [20_001, 21_500],
    [3_600_000, 21_500],
    [-5_000, 1_500],
  ])(
    "%d ms into the attempt is %d ms, at most up to the end of the lease and never less than before",
    (later, ms) => {
      expect(durationMs(working, NOON + later)).toBe(ms);
    },
  );
});

test.each([
  ["pending", pendingTask(), { live: true, running: false, ended: false }],
  ["running", runningTask(), { live: true, running: true, ended: false }],
  ["done", endedTask("done"), { live: false, running: false, ended: true }],
  ["failed", endedTask("failed"), { live: false, running: false, ended: true }],
  ["cancelled", endedTask("cancelled"), { live: false, running: false, ended: true }],
])("a %s task is live, running or ended as its status says", (_status, task, expected) => {
  expect({ live: isLive(task), running: isRunning(task), ended: isEnded(task) }).toEqual(expected);
});

test("the ended statuses are statuses", () => {
  expect(STATUSES).toEqual(["pending", "running", "done", "failed", "cancelled"]);
  for (const status of ENDED_STATUSES) expect(STATUSES).toContain(status);
});

describe("text", () => {
  const NUL = "must not contain the character NUL";
  const LONE = "must not contain a lone surrogate";
  const EMPTY = "must not be empty";

  test.each([
    ["", null],
    ["\u00e4\u{1f600}\u200b\n", null],
    ["\uffff\ufffd", null],
    ["a\0b", NUL],
    ["\ud800", LONE],
    ["a\udc00", LONE],
    ["\udc00\ud800", LONE],
  ])("%j as any text: %p", (text, fault) => {
    expect(textFault(text)).toBe(fault);
  });

  test.each([
    ["a", null],
    ["", EMPTY],
    ["x".repeat(255), null],
    ["x".repeat(256), "must be at most 255 characters long, is 256"],
    [ASTRAL.repeat(255), null],
    [ASTRAL.repeat(256), "must be at most 255 characters long, is 256"],
    [`${ASTRAL.repeat(254)}a`, null],
    ["a\0", NUL],
    ["a\ud800", LONE],
  ])("%j as a name: %p", (name, fault) => {
    expect(nameFault(name)).toBe(fault);
  });

  test.each([
    ["nothing", "", null],
    ["10,000 letters", "x".repeat(10_000), null],
    ["10,001 letters", "x".repeat(10_001), "must be at most 10000 characters long, is 10001"],
    ["10,000 emoji", ASTRAL.repeat(10_000), null],
    ["10,001 emoji", ASTRAL.repeat(10_001), "must be at most 10000 characters long, is 10001"],
    ["a NUL", "a\0", NUL],
    ["half an emoji", "\ude00", LONE],
  ])("%s as a description", (_what, description, fault) => {
    expect(descriptionFault(description)).toBe(fault);
  });

  test("is counted in code points", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        expect(codePoints(text)).toBe([...text].length);
      }),
    );
  });

  test.each([
    ["short", 10, "short"],
    ["cut here", 3, "cut"],
    ["a\0b\0", 10, "a\ufffdb\ufffd"],
    [`ab${ASTRAL}`, 3, "ab\ufffd"],
    ["\udc00!", 10, "\ufffd!"],
    ["", 10, ""],
    ["gone", 0, ""],
  ])("%j within %d units is stored as %j", (text, maxLength, stored) => {
    expect(storableText(text, maxLength)).toBe(stored);
  });

  test("of any characters is made storable within its length", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(0xffff)), fc.nat(20), (units, maxLength) => {
        const stored = storableText(String.fromCharCode(...units, 0), maxLength);
        expect(textFault(stored)).toBeNull();
        expect(stored.length).toBeLessThanOrEqual(maxLength);
      }),
    );
  });
});

describe("labels", () => {
  test.each([
    ["region", true],
    ["0", true],
    ["team.example/cost-centre_2", true],
    ["a".repeat(LIMITS.labelNameLength), true],
    ["a".repeat(LIMITS.labelNameLength + 1), false],
    ["", false],
    [".hidden", false],
    ["-x", false],
    ["with space", false],
    ["a:b", false],
    ["é", false],
    ["region\n", false],
  ])("the name %j is allowed: %p", (name, allowed) => {
    expect(labelNameFault(name) === null).toBe(allowed);
  });

  test.each([
    ["region:eu", true],
    ["region:", true],
    ["url:http://example.com:80/", true],
    [`v:${ASTRAL.repeat(LIMITS.labelValueCodePoints)}`, true],
    [`v:${ASTRAL.repeat(LIMITS.labelValueCodePoints)}x`, false],
    ["region", false],
    [":eu", false],
    ["", false],
    ["region:e\u0000u", false],
  ])("the filter %j is allowed: %p", (text, allowed) => {
    expect(labelFault(text) === null).toBe(allowed);
  });

  test("a text names one label: the name ends at the first colon", () => {
    const labels = { url: "http://x", region: "" };
    expect(hasLabel(labels, "url:http://x")).toBe(true);
    expect(hasLabel(labels, "url:http")).toBe(false);
    expect(hasLabel(labels, "region:")).toBe(true);
    // Without a colon no value is named, and none is equal to that.
    expect(hasLabel(labels, "region")).toBe(false);
    expect(hasLabel(labels, "toString:")).toBe(false);
  });

  test("texts and labels are made from each other", () => {
    const labels = { url: "http://x", region: "" };
    expect(labelTexts(labels)).toEqual(["url:http://x", "region:"]);
    expect(labelsFrom(labelTexts(labels))).toEqual(labels);
    expect(labelsFrom(["region"])).toEqual({ region: "" });
    expect(labelTexts(undefined)).toEqual([]);
  });
});

test("the limits are those of the contract", () => {
  expect(LIMITS).toMatchObject({
    nameCodePoints: 255,
    descriptionCodePoints: 10_000,
    typeLength: 64,
    tags: 20,
    priority: 1_000,
    batch: 1_000,
    attemptsKept: 20,
    logLinesKept: 1_000,
    resultBytes: 1_048_576,
    lostLeases: 3,
  });
});
