import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog, openEngine } from "../../test/support/engine.ts";
import { TaskError } from "../core/error.ts";
import type { Task } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";
import type { SubmissionResult } from "./submissions.ts";
import { createSubmitter } from "./submitter.ts";

const ALL = { filter: {}, sort: "id", after: null, limit: 1_000 } as const;

/** A submitter on a real store that the test may make unavailable, before or after a write. */
function openSubmitter() {
  const clock = createManualClock();
  const log = createTestLog();
  const state: { fault: "before" | "after" | null; inserts: number } = { fault: null, inserts: 0 };
  const away = () => new TaskError("store_unavailable", "The store does not answer");
  const { engine } = openEngine({
    clock,
    around: (store): TaskStore => ({
      ...store,
      insert: async (requests, now) => {
        state.inserts++;
        if (state.fault === "before") throw away();
        const answers = await store.insert(requests, now);
        if (state.fault === "after") throw away();
        return answers;
      },
    }),
  });
  const submitter = createSubmitter({
    ...{ engine, clock, log },
    nonce: () => "n", // among the messages of a day, such a short text occurs twice
    requestId: () => "r",
  });
  const submit = (
    body: unknown,
    more: { key?: string | null; scope?: string } = {},
  ): Promise<SubmissionResult> => {
    const bytes = body instanceof Uint8Array ? body : new TextEncoder().encode(textOf(body));
    return submitter.submit({ body: bytes, key: null, scope: "q", ...more });
  };
  return {
    ...{ clock, log, state, submitter, submit },
    tasks: async (): Promise<readonly Task[]> => (await engine.list(ALL)).tasks,
  };
}

const textOf = (body: unknown): string => (typeof body === "string" ? body : JSON.stringify(body));

const ACCEPTED: SubmissionResult = { kind: "accepted" };

function problemIn(result: SubmissionResult): Record<string, unknown> {
  if (result.kind !== "rejected") throw new Error("it was accepted");
  return JSON.parse(result.problem) as Record<string, unknown>; // in the form that the submitter writes
}

describe("a submission", () => {
  test("keeps its payload as it was written", async () => {
    const x = openSubmitter();
    const payload = '{"id":3889108265204450030,"x":1e999, "2":1,\n"1":[ ]}';
    expect(await x.submit(`{"payload" : ${payload} ,"name":"a"}`)).toEqual(ACCEPTED);
    expect(await x.tasks()).toMatchObject([{ payload }]);
  });

  test("creates a task, with every field of POST /api/task", async () => {
    const x = openSubmitter();
    const body = { name: " a ", type: "t", payload: { b: [1] }, priority: 3, tags: ["z"], max_attempts: 2 };
    expect(await x.submit(body)).toEqual(ACCEPTED);
    expect(await x.tasks()).toMatchObject([
      { id: 1, name: "a", type: "t", payload: '{"b":[1]}', priority: 3, tags: ["z"], maxAttempts: 2 },
    ]);
  });

  test("creates up to a thousand tasks, all or none", async () => {
    const x = openSubmitter();
    const many = Array.from({ length: 1_000 }, (_, n) => ({ name: `t${n}` }));
    expect(await x.submit(many)).toEqual(ACCEPTED);
    expect((await x.submit([{ name: "good" }, { name: "" }])).kind).toBe("rejected");
    expect((await x.submit([...many, { name: "one more" }])).kind).toBe("rejected");
    expect(await x.tasks()).toHaveLength(1_000);
  });

  test("shares one write of the store with a thousand others", async () => {
    const x = openSubmitter();
    await Promise.all(Array.from({ length: 1_000 }, (_, n) => x.submit({ name: `t${n}` })));
    expect([(await x.tasks()).length, x.state.inserts]).toEqual([1_000, 1]);
  });
});

describe("a message that is delivered again", () => {
  test("creates no second task", async () => {
    const x = openSubmitter();
    for (let n = 0; n < 3; n++) expect(await x.submit({ name: "a" }, { key: "m1" })).toEqual(ACCEPTED);
    expect(await x.tasks()).toHaveLength(1);
  });

  test("with another body is refused", async () => {
    const x = openSubmitter();
    await x.submit({ name: "a" }, { key: "m1" });
    expect(problemIn(await x.submit({ name: "b" }, { key: "m1" }))).toMatchObject({
      status: 422,
      code: "idempotency_mismatch",
    });
  });

  test("is another message in another scope", async () => {
    const x = openSubmitter();
    await x.submit({ name: "a" }, { key: "m1", scope: "one" });
    await x.submit({ name: "a" }, { key: "m1", scope: "other" });
    expect(await x.tasks()).toHaveLength(2);
  });

  test("without a key cannot be recognised: it creates a second task", async () => {
    const x = openSubmitter();
    await x.submit({ name: "a" });
    await x.submit({ name: "a" });
    expect(await x.tasks()).toHaveLength(2);
  });
});

describe("an invalid message", () => {
  const deep = "[".repeat(65) + "]".repeat(65);
  const bad: readonly [what: string, body: unknown, status: number, code: string, pointer?: string][] = [
    ["no name", {}, 400, "invalid", "/name"],
    ["a field that is unknown", { name: "a", colour: "red" }, 400, "invalid", "/colour"],
    ["a NUL in a text", { name: "a\0" }, 400, "invalid", "/name"],
    ["a date that does not exist", { name: "a", run_at: "2027-02-30T00:00:00Z" }, 400, "invalid", "/run_at"],
    ["no JSON", "{", 400, "malformed_body"],
    ["nothing", "", 400, "malformed_body"],
    ["no UTF-8", new Uint8Array([0x22, 0xff, 0x22]), 400, "malformed_body"],
    ["JSON too deep", deep, 400, "malformed_body"],
    ["more than 1 MiB", { name: "a", description: "x".repeat(1_048_576) }, 413, "body_too_large"],
    ["no tasks", [], 400, "invalid", ""],
  ];

  for (const [what, body, status, code, pointer] of bad) {
    test(`is refused with the problem document of HTTP: ${what}`, async () => {
      const x = openSubmitter();
      const problem = problemIn(await x.submit(body));
      expect(problem).toMatchObject({ status, code, type: "about:blank", request_id: "r" });
      if (pointer !== undefined) expect(problem.errors).toMatchObject([{ pointer }]);
      expect(await x.tasks()).toEqual([]);
    });
  }

  test("is refused if its key is invalid", async () => {
    const x = openSubmitter();
    for (const key of ["", "é", "x".repeat(256)]) {
      expect(problemIn(await x.submit({ name: "a" }, { key }))).toMatchObject({
        code: "invalid",
        errors: [{ pointer: "/message-id" }],
      });
    }
  });

  test("is refused at once, also while the store is away", async () => {
    const x = openSubmitter();
    x.state.fault = "before";
    expect((await x.submit({})).kind).toBe("rejected");
  });
});

describe("while the store is away", () => {
  for (const key of ["m1", null]) {
    test(`a message ${key === null ? "without" : "with"} a key waits and creates one task, even if a write whose answer was lost had created it`, async () => {
      const x = openSubmitter();
      const seen: SubmissionResult[] = [];
      x.state.fault = "after";
      void x.submit({ name: "a" }, { key }).then((result) => seen.push(result));
      await x.clock.advance(60_000);
      expect(seen).toEqual([]);
      x.state.fault = null;
      await x.clock.advance(10_000);
      expect(seen).toEqual([ACCEPTED]);
      expect(await x.tasks()).toHaveLength(1);
    });
  }

  test("it is tried again after five seconds at most, and that is logged once for all messages", async () => {
    const x = openSubmitter();
    x.state.fault = "before";
    const submitting = Array.from({ length: 50 }, (_, n) => x.submit({ name: `t${n}` }));
    await x.clock.advance(60_000);
    expect(x.state.inserts).toBeLessThan(20);
    x.state.fault = null;
    await x.clock.advance(5_000);
    await Promise.all(submitting);
    expect(x.log.events).toEqual(["submissions_wait", "submissions_go_on"]);
  });

  test("a submitter that closes leaves the waiting messages with the broker", async () => {
    const x = openSubmitter();
    x.state.fault = "before";
    const submitting = x.submit({ name: "a" });
    await x.clock.advance(1_000);
    x.submitter.close();
    expect(submitting).rejects.toThrow("no more messages");
    expect(x.submit({ name: "b" })).rejects.toThrow("no more messages");
    await submitting.catch(() => undefined);
    expect(await x.tasks()).toEqual([]);
  });
});
