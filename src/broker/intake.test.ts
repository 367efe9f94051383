import { describe, expect, test } from "bun:test";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog, openEngine } from "../../test/support/engine.ts";
import { TaskError } from "../core/error.ts";
import type { Task } from "../core/task.ts";
import type { TaskStore } from "../store/store.ts";
import { createIntake } from "./intake.ts";
import type { Taken } from "./submissions.ts";

const ALL = { filter: {}, sort: "id", after: null, limit: 1_000 } as const;

/** An intake before a real store that the test may take away, before or after it has written. */
function openIntake() {
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
  const intake = createIntake({
    ...{ engine, clock, log },
    nonce: () => "n", // it is short, and among the messages of a day it does come twice
    requestId: () => "r",
  });
  const take = (body: unknown, more: { key?: string | null; scope?: string } = {}): Promise<Taken> => {
    const bytes = body instanceof Uint8Array ? body : new TextEncoder().encode(textOf(body));
    return intake.take({ body: bytes, key: null, scope: "q", ...more });
  };
  return {
    ...{ clock, log, state, intake, take },
    tasks: async (): Promise<readonly Task[]> => (await engine.list(ALL)).tasks,
  };
}

const textOf = (body: unknown): string => (typeof body === "string" ? body : JSON.stringify(body));

const ACCEPTED: Taken = { kind: "accepted" };

function problemIn(taken: Taken): Record<string, unknown> {
  if (taken.kind !== "rejected") throw new Error("it was accepted");
  return JSON.parse(taken.problem) as Record<string, unknown>; // as the intake has made it
}

describe("what a message brings", () => {
  test("keeps its payload as it was written", async () => {
    const x = openIntake();
    const payload = '{"id":3889108265204450030,"x":1e999, "2":1,\n"1":[ ]}';
    expect(await x.take(`{"payload" : ${payload} ,"name":"a"}`)).toEqual(ACCEPTED);
    expect(await x.tasks()).toMatchObject([{ payload }]);
  });

  test("is a task, with all that POST /api/task takes", async () => {
    const x = openIntake();
    const body = { name: " a ", type: "t", payload: { b: [1] }, priority: 3, tags: ["z"], max_attempts: 2 };
    expect(await x.take(body)).toEqual(ACCEPTED);
    expect(await x.tasks()).toMatchObject([
      { id: 1, name: "a", type: "t", payload: '{"b":[1]}', priority: 3, tags: ["z"], maxAttempts: 2 },
    ]);
  });

  test("is up to a thousand tasks, all or none", async () => {
    const x = openIntake();
    const many = Array.from({ length: 1_000 }, (_, n) => ({ name: `t${n}` }));
    expect(await x.take(many)).toEqual(ACCEPTED);
    expect((await x.take([{ name: "good" }, { name: "" }])).kind).toBe("rejected");
    expect((await x.take([...many, { name: "one more" }])).kind).toBe("rejected");
    expect(await x.tasks()).toHaveLength(1_000);
  });

  test("a thousand messages in hand share one write of the store", async () => {
    const x = openIntake();
    await Promise.all(Array.from({ length: 1_000 }, (_, n) => x.take({ name: `t${n}` })));
    expect([(await x.tasks()).length, x.state.inserts]).toEqual([1_000, 1]);
  });
});

describe("a message that comes again", () => {
  test("makes no second task", async () => {
    const x = openIntake();
    for (let n = 0; n < 3; n++) expect(await x.take({ name: "a" }, { key: "m1" })).toEqual(ACCEPTED);
    expect(await x.tasks()).toHaveLength(1);
  });

  test("with another body is refused", async () => {
    const x = openIntake();
    await x.take({ name: "a" }, { key: "m1" });
    expect(problemIn(await x.take({ name: "b" }, { key: "m1" }))).toMatchObject({
      status: 422,
      code: "idempotency_mismatch",
    });
  });

  test("is another one in another scope", async () => {
    const x = openIntake();
    await x.take({ name: "a" }, { key: "m1", scope: "one" });
    await x.take({ name: "a" }, { key: "m1", scope: "other" });
    expect(await x.tasks()).toHaveLength(2);
  });

  test("without a name is not known again: two are two tasks", async () => {
    const x = openIntake();
    await x.take({ name: "a" });
    await x.take({ name: "a" });
    expect(await x.tasks()).toHaveLength(2);
  });
});

describe("a message at fault", () => {
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
      const x = openIntake();
      const problem = problemIn(await x.take(body));
      expect(problem).toMatchObject({ status, code, type: "about:blank", request_id: "r" });
      if (pointer !== undefined) expect(problem.errors).toMatchObject([{ pointer }]);
      expect(await x.tasks()).toEqual([]);
    });
  }

  test("is refused where its id is none", async () => {
    const x = openIntake();
    for (const key of ["", "é", "x".repeat(256)]) {
      expect(problemIn(await x.take({ name: "a" }, { key }))).toMatchObject({
        code: "invalid",
        errors: [{ pointer: "/message-id" }],
      });
    }
  });

  test("is refused while the store is away, too, and waits for nothing", async () => {
    const x = openIntake();
    x.state.fault = "before";
    expect((await x.take({})).kind).toBe("rejected");
  });
});

describe("while the store is away", () => {
  for (const key of ["m1", null]) {
    test(`a message ${key === null ? "without" : "with"} a name waits and makes one task, even where a write had come through`, async () => {
      const x = openIntake();
      const seen: Taken[] = [];
      x.state.fault = "after";
      void x.take({ name: "a" }, { key }).then((taken) => seen.push(taken));
      await x.clock.advance(60_000);
      expect(seen).toEqual([]);
      x.state.fault = null;
      await x.clock.advance(10_000);
      expect(seen).toEqual([ACCEPTED]);
      expect(await x.tasks()).toHaveLength(1);
    });
  }

  test("it is asked every five seconds at last, and that is logged once for all messages", async () => {
    const x = openIntake();
    x.state.fault = "before";
    const taking = Array.from({ length: 50 }, (_, n) => x.take({ name: `t${n}` }));
    await x.clock.advance(60_000);
    expect(x.state.inserts).toBeLessThan(20);
    x.state.fault = null;
    await x.clock.advance(5_000);
    await Promise.all(taking);
    expect(x.log.events).toEqual(["submissions_wait", "submissions_go_on"]);
  });

  test("an intake that closes leaves what waits with the broker", async () => {
    const x = openIntake();
    x.state.fault = "before";
    const taking = x.take({ name: "a" });
    await x.clock.advance(1_000);
    x.intake.close();
    expect(taking).rejects.toThrow("no more tasks");
    expect(x.take({ name: "b" })).rejects.toThrow("no more tasks");
    await taking.catch(() => undefined);
    expect(await x.tasks()).toEqual([]);
  });
});
