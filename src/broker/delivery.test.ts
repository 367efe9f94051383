import { describe, expect, test } from "bun:test";
import { createManualClock, settled } from "../../test/support/clock.ts";
import { createTestLog } from "../../test/support/engine.ts";
import { createDelivery } from "./delivery.ts";
import type { Disposition } from "./disposition.ts";
import type { Submission, SubmissionResult } from "./submissions.ts";

const ACCEPTED: SubmissionResult = { kind: "accepted" };
const REJECTED: SubmissionResult = {
  kind: "rejected",
  problem: JSON.stringify({ status: 400, code: "invalid", detail: "no name", request_id: "r" }),
};
const SUBMISSION: Submission = { body: Buffer.from("{}".padEnd(1_000)), key: "k", scope: "s" };

/** A message, and a broker that accepts rejections up to a size, and can be away. */
function open({ takesBytes = 1_048_576 } = {}) {
  const clock = createManualClock();
  const log = createTestLog();
  const broker = { isAway: false, tries: 0, published: [] as string[] };
  const over = new AbortController();
  const delivery = createDelivery({
    publish: async (rejection) => {
      broker.tries++;
      if (broker.isAway) throw new Error("away");
      if (rejection.length > takesBytes) throw new Error("too large");
      broker.published.push(rejection.toString());
    },
    isTooLarge: (error) => error instanceof Error && error.message === "too large",
    clock,
    log,
  });
  let answer: Disposition | "none" = "none";
  return {
    ...{ clock, log, broker, over },
    disposition: () => answer,
    deliver: async (submit: () => Promise<SubmissionResult>): Promise<void> => {
      void delivery.deliver(SUBMISSION, submit, over.signal).then((disposition) => {
        answer = disposition;
      });
      await settled();
    },
  };
}

describe("a message", () => {
  test("that was accepted is acknowledged", async () => {
    const x = open();
    await x.deliver(async () => ACCEPTED);
    expect([x.disposition(), x.broker.tries]).toEqual(["acknowledge", 0]);
  });

  test("that was rejected is acknowledged when its rejection is published, once", async () => {
    const x = open();
    await x.deliver(async () => REJECTED);
    expect([x.disposition(), x.broker.published.length]).toEqual(["acknowledge", 1]);
  });

  test("whose rejection is too large for the broker gets one without its body", async () => {
    const x = open({ takesBytes: 500 });
    await x.deliver(async () => REJECTED);
    expect(x.disposition()).toBe("acknowledge");
    expect(JSON.parse(x.broker.published[0] ?? "")).toMatchObject({
      problem: { detail: "no name" },
      body: "",
      truncated: true,
    });
    expect(x.log.events).toEqual(["rejection_too_large"]);
  });

  test("whose shortest rejection is too large is acknowledged, and its rejection is logged", async () => {
    const x = open({ takesBytes: 10 });
    await x.deliver(async () => REJECTED);
    expect([x.disposition(), x.broker.published.length]).toEqual(["acknowledge", 0]);
    expect(x.log.events).toEqual(["rejection_too_large", "rejection_too_large", "rejection_dropped"]);
    expect(String(x.log.logged.at(-1)?.fields?.rejection)).toContain("no name");
  });

  test("whose rejection cannot be published is kept; the rejection is tried again after longer and longer pauses", async () => {
    const x = open();
    x.broker.isAway = true;
    let submits = 0;
    await x.deliver(async () => {
      submits++;
      return REJECTED;
    });
    const tries: number[] = [];
    for (let second = 0; second < 100; second++) {
      tries.push(x.broker.tries);
      await x.clock.advance(1_000);
    }
    expect([1, 3, 7, 15, 25, 35, 45].map((second) => tries[second])).toEqual([2, 3, 4, 5, 6, 7, 8]);
    expect([x.disposition(), submits]).toEqual(["none", 1]);
    x.broker.isAway = false;
    await x.clock.advance(10_000);
    expect(x.disposition()).toBe("acknowledge");
    expect(x.log.events).toEqual(["rejections_wait", "rejections_go_on"]);
  });

  test("is returned as soon as it can no longer be acknowledged", async () => {
    const x = open();
    x.broker.isAway = true;
    await x.deliver(async () => REJECTED);
    x.over.abort();
    await settled();
    expect(x.disposition()).toBe("return");
    await x.clock.advance(60_000);
    expect(x.broker.tries).toBe(1);
  });

  test("that cannot be submitted because of a defect is tried again after a pause, and is not lost", async () => {
    const x = open();
    let tries = 0;
    await x.deliver(async () => {
      if (tries++ < 2) throw new Error("a defect");
      return ACCEPTED;
    });
    expect([x.disposition(), tries]).toEqual(["none", 1]);
    await x.clock.advance(1_000);
    expect([x.disposition(), tries]).toEqual(["none", 2]);
    await x.clock.advance(2_000);
    expect([x.disposition(), tries]).toEqual(["acknowledge", 3]);
    expect(x.log.events).toEqual(["submission_failed", "submission_failed"]);
  });

  test("that is no longer submitted, because the process stops, is returned, and nothing is logged", async () => {
    const x = open();
    x.over.abort();
    await x.deliver(() => Promise.reject(new Error("closed")));
    expect(x.disposition()).toBe("return");
    expect(x.log.events).toEqual([]);
  });
});
