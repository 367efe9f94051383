import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { createTestLog } from "../../test/support/engine.ts";
import { createSettling, type Settlement } from "./delivery.ts";
import type { Submission, Taken } from "./submissions.ts";

const ACCEPTED: Taken = { kind: "accepted" };
const REJECTED: Taken = {
  kind: "rejected",
  problem: JSON.stringify({ status: 400, code: "invalid", detail: "no name", request_id: "r" }),
};
const SUBMISSION: Submission = { body: Buffer.from("{}".padEnd(1_000)), key: "k", scope: "s" };

/** A message, and a broker that takes rejections up to a length and fails when it is told to. */
function openWorld({ takesBytes = 1_048_576 } = {}) {
  const clock = createManualClock();
  const log = createTestLog();
  const broker = { isAway: false, tries: 0, kept: [] as string[] };
  const over = new AbortController();
  const settling = createSettling({
    publish: async (rejection) => {
      broker.tries++;
      if (broker.isAway) throw new Error("away");
      if (rejection.length > takesBytes) throw new Error("too large");
      broker.kept.push(rejection.toString());
    },
    isTooLarge: (error) => error instanceof Error && error.message === "too large",
    clock,
    log,
  });
  let answer: Settlement | "none" = "none";
  return {
    ...{ clock, log, broker, over },
    answer: () => answer,
    settle: async (take: () => Promise<Taken>): Promise<void> => {
      void settling.settle(SUBMISSION, take, over.signal).then((settlement) => {
        answer = settlement;
      });
      await settled();
    },
  };
}

describe("a message", () => {
  test("that was taken is acknowledged", async () => {
    const x = openWorld();
    await x.settle(async () => ACCEPTED);
    expect([x.answer(), x.broker.tries]).toEqual(["acknowledge", 0]);
  });

  test("that was refused is acknowledged when its rejection is kept, once", async () => {
    const x = openWorld();
    await x.settle(async () => REJECTED);
    expect([x.answer(), x.broker.kept.length]).toEqual(["acknowledge", 1]);
  });

  test("whose rejection the broker finds too large gets one without its body", async () => {
    const x = openWorld({ takesBytes: 500 });
    await x.settle(async () => REJECTED);
    expect(x.answer()).toBe("acknowledge");
    expect(JSON.parse(x.broker.kept[0] ?? "")).toMatchObject({
      problem: { detail: "no name" },
      body: "",
      truncated: true,
    });
    expect(x.log.events).toEqual(["rejection_too_large"]);
  });

  test("whose shortest rejection is too large is acknowledged, and its rejection stands in the log", async () => {
    const x = openWorld({ takesBytes: 10 });
    await x.settle(async () => REJECTED);
    expect([x.answer(), x.broker.kept.length]).toEqual(["acknowledge", 0]);
    expect(x.log.events).toEqual(["rejection_too_large", "rejection_too_large", "rejection_dropped"]);
    expect(String(x.log.logged.at(-1)?.fields?.rejection)).toContain("no name");
  });

  test("whose rejection cannot be kept is held and tried again, less and less often, and is not returned", async () => {
    const x = openWorld();
    x.broker.isAway = true;
    let taken = 0;
    await x.settle(async () => {
      taken++;
      return REJECTED;
    });
    const tries: number[] = [];
    for (let second = 0; second < 100; second++) {
      tries.push(x.broker.tries);
      await x.clock.advance(1_000);
    }
    expect([1, 3, 7, 15, 25, 35, 45].map((second) => tries[second])).toEqual([2, 3, 4, 5, 6, 7, 8]);
    expect([x.answer(), taken]).toEqual(["none", 1]);
    x.broker.isAway = false;
    await x.clock.advance(10_000);
    expect(x.answer()).toBe("acknowledge");
    expect(x.log.events).toEqual(["rejections_wait", "rejections_go_on"]);
  });

  test("that is held is returned as soon as its delivery is over", async () => {
    const x = openWorld();
    x.broker.isAway = true;
    await x.settle(async () => REJECTED);
    x.over.abort();
    await settled();
    expect(x.answer()).toBe("return");
    await x.clock.advance(60_000);
    expect(x.broker.tries).toBe(1);
  });

  test("that cannot be taken because of a defect is tried again after a pause, and is not lost", async () => {
    const x = openWorld();
    let tries = 0;
    await x.settle(async () => {
      if (tries++ < 2) throw new Error("a defect");
      return ACCEPTED;
    });
    expect([x.answer(), tries]).toEqual(["none", 1]);
    await x.clock.advance(1_000);
    expect([x.answer(), tries]).toEqual(["none", 2]);
    await x.clock.advance(2_000);
    expect([x.answer(), tries]).toEqual(["acknowledge", 3]);
    expect(x.log.events).toEqual(["submission_failed", "submission_failed"]);
  });

  test("that nobody takes any more, because the process stops, is returned and nothing is said", async () => {
    const x = openWorld();
    x.over.abort();
    await x.settle(() => Promise.reject(new Error("closed")));
    expect(x.answer()).toBe("return");
    expect(x.log.events).toEqual([]);
  });
});
