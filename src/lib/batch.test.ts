import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { settled } from "../../test/support/clock.ts";
import { type BatchSetup, createBatch, type Join } from "./batch.ts";

/** A call: its key before the dot, so that `a.1` and `a.2` are two calls for one task. */
type Call = string;

const keyOf = (call: Call): string => call.split(".")[0] ?? "";

class RolledBack extends Error {}
class ConnectionLost extends Error {}
class Overloaded extends Error {}

const answerTo = (call: Call): string => `answer to ${call}`;

type Write = {
  readonly calls: readonly Call[];
  /** Answers all calls of the write. */
  answer(): Promise<void>;
  refuse(error: unknown): Promise<void>;
};

/** A batch whose writes the test answers. */
function openByHand(setup: Partial<BatchSetup<Call, string>> = {}) {
  const writes: Write[] = [];
  const join = createBatch<Call, string>({
    send: (calls) => {
      const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
      writes.push({
        calls,
        answer: () => {
          resolve(calls.map(answerTo));
          return settled();
        },
        refuse: (error) => {
          reject(error);
          return settled();
        },
      });
      return promise;
    },
    provesRollback: (error) => error instanceof RolledBack,
    overloaded: () => new Overloaded(),
    ...setup,
  });
  const last = (): Write => {
    const write = writes.at(-1);
    if (write === undefined) throw new Error("expected a write");
    return write;
  };
  return { join, last, writes, sent: () => writes.map(({ calls }) => calls) };
}

/** A batch whose writes answer by a rule, one turn later. */
function openByRule(rule: (calls: readonly Call[]) => void, setup: Partial<BatchSetup<Call, string>> = {}) {
  const sent: (readonly Call[])[] = [];
  const join = createBatch<Call, string>({
    send: async (calls) => {
      sent.push(calls);
      await settled();
      rule(calls);
      return calls.map(answerTo);
    },
    provesRollback: (error) => error instanceof RolledBack,
    overloaded: () => new Overloaded(),
    ...setup,
  });
  return { join, sent };
}

const outcomes = (join: Join<Call, string>, calls: readonly Call[]) =>
  Promise.all(
    calls.map((call) =>
      join(call).catch((error: unknown) =>
        error instanceof Error ? error.constructor.name : "not an error",
      ),
    ),
  );

const numbered = (count: number): Call[] => Array.from({ length: count }, (_, n) => `call${n}`);

const limits = { calls: 1_000, bytes: 1_000_000, waitingCalls: 10_000, waitingBytes: 1_000_000 };

describe("joining", () => {
  test("calls of one turn share a write, and each gets the answer in its place", async () => {
    const { join, last, sent } = openByHand();
    const answers = outcomes(join, ["a", "b", "c"]);
    await settled();
    expect(sent()).toEqual([["a", "b", "c"]]);
    await last().answer();
    expect(await answers).toEqual(["a", "b", "c"].map(answerTo));
  });

  test("an idle store is written at once: no timer, no turn of the event loop", async () => {
    const { join, sent } = openByHand();
    void join("a");
    await Promise.resolve();
    expect(sent()).toEqual([["a"]]);
  });

  test("nothing is written before the synchronous code of the caller has ended", () => {
    const { join, sent } = openByHand();
    void join("a");
    expect(sent()).toEqual([]);
  });

  test("calls that arrive during a write share the next one", async () => {
    const { join, last, sent } = openByHand();
    const first = join("a");
    await settled();
    const rest = [join("b")];
    await settled();
    rest.push(join("c"), join("d"));
    await settled();
    expect(sent()).toEqual([["a"]]);
    await last().answer();
    expect(await first).toBe(answerTo("a"));
    expect(sent()).toEqual([["a"], ["b", "c", "d"]]);
    await last().answer();
    expect(await Promise.all(rest)).toEqual(["b", "c", "d"].map(answerTo));
  });

  test("a call made right after an answer is written, too", async () => {
    const { join, last, sent } = openByHand();
    const chain = join("a").then(() => join("b"));
    await settled();
    await last().answer();
    expect(sent()).toEqual([["a"], ["b"]]);
    await last().answer();
    expect(await chain).toBe(answerTo("b"));
  });

  test("an idle store is again written at once after earlier writes", async () => {
    const { join, last, sent } = openByHand();
    for (const call of ["a", "b", "c"]) {
      const answer = join(call);
      await Promise.resolve();
      await last().answer();
      expect(await answer).toBe(answerTo(call));
      await settled();
    }
    expect(sent()).toEqual([["a"], ["b"], ["c"]]);
  });
});

describe("keys", () => {
  test("two calls with one key never share a write, and other calls do not wait for them", async () => {
    const { join, last, sent } = openByHand({ keyOf });
    void outcomes(join, ["a.1", "a.2", "b.1", "c.1"]);
    await settled();
    expect(sent()).toEqual([["a.1", "b.1", "c.1"]]);
    await last().answer();
    expect(sent()).toEqual([["a.1", "b.1", "c.1"], ["a.2"]]);
  });

  test("the second call with a key is sent only after the answer to the first", async () => {
    const { join, last, writes } = openByHand({ keyOf });
    const first = outcomes(join, ["a.1"]);
    await settled();
    void join("a.2");
    await settled();
    expect(writes.length).toBe(1);
    await last().refuse(new ConnectionLost());
    expect(await first).toEqual(["ConnectionLost"]);
    expect(last().calls).toEqual(["a.2"]);
  });

  test("calls with one key keep their order, also when later calls with other keys are sent before", async () => {
    const { join, sent } = openByRule(() => undefined, { keyOf });
    await outcomes(join, ["a.1", "b.1", "a.2", "b.2", "a.3", "c.1"]);
    expect(sent).toEqual([["a.1", "b.1", "c.1"], ["a.2", "b.2"], ["a.3"]]);
  });

  test("a call that waits for its key goes before calls that arrived later", async () => {
    const { join, last, sent } = openByHand({ keyOf, limits: { ...limits, calls: 2 } });
    void outcomes(join, ["a.1", "a.2", "b.1", "c.1"]);
    await settled();
    await last().answer();
    expect(sent()).toEqual([["a.1"], ["a.2", "b.1"]]);
  });

  test("without keys the same call may come twice in a write", async () => {
    const { join, sent } = openByRule(() => undefined);
    expect(await outcomes(join, ["a", "a"])).toEqual([answerTo("a"), answerTo("a")]);
    expect(sent).toEqual([["a", "a"]]);
  });
});

describe("several writes in flight", () => {
  const overlap = { writes: 2, fromCalls: 2 };
  const overlapping = { ...limits, calls: 3, overlap };

  test("a write starts while an earlier one is in flight where enough calls wait, and fewer wait for its end", async () => {
    const { join, sent, writes } = openByHand({ limits: overlapping });
    void outcomes(join, ["a"]);
    await settled();
    void outcomes(join, ["b"]);
    await settled();
    expect(sent()).toEqual([["a"]]);
    void outcomes(join, ["c"]);
    await settled();
    expect(sent()).toEqual([["a"], ["b", "c"]]);
    void outcomes(join, ["d"]);
    await writes[0]?.answer();
    expect(sent()).toEqual([["a"], ["b", "c"]]);
    await writes[1]?.answer();
    expect(sent()).toEqual([["a"], ["b", "c"], ["d"]]);
  });

  test("there are never more than the limit, and each has at most `calls` calls", async () => {
    const { join, sent, writes } = openByHand({ limits: overlapping });
    const answers = outcomes(join, numbered(8));
    await settled();
    expect(sent().map((calls) => calls.length)).toEqual([3, 3]);
    await writes[1]?.answer(); // the answers may come in any order
    expect(sent().map((calls) => calls.length)).toEqual([3, 3, 2]);
    await writes[0]?.answer();
    await writes[2]?.answer();
    expect(await answers).toEqual(numbered(8).map(answerTo));
  });

  test("a call waits while a call with its key is in flight, and calls with other keys do not", async () => {
    const { join, sent, writes } = openByHand({ keyOf, limits: overlapping });
    void outcomes(join, ["a.1"]);
    await settled();
    void outcomes(join, ["a.2", "b.1", "a.3"]);
    await settled();
    expect(sent()).toEqual([["a.1"], ["b.1"]]);
    await writes[1]?.answer();
    expect(sent()).toEqual([["a.1"], ["b.1"]]);
    await writes[0]?.answer();
    expect(sent()).toEqual([["a.1"], ["b.1"], ["a.2"]]);
    await writes[2]?.answer();
    expect(sent().at(-1)).toEqual(["a.3"]);
  });

  test("a write that was rolled back is tried again in halves, and another one in flight is not", async () => {
    const { join, sent, writes } = openByHand({ limits: overlapping });
    const first = outcomes(join, ["a", "b"]);
    await settled();
    const second = outcomes(join, ["c", "d"]);
    await settled();
    await writes[0]?.refuse(new RolledBack());
    expect(sent()).toEqual([["a", "b"], ["c", "d"], ["a"]]);
    await writes[1]?.refuse(new ConnectionLost());
    await writes[2]?.refuse(new RolledBack());
    await writes[3]?.answer();
    expect(await first).toEqual(["RolledBack", answerTo("b")]);
    expect(await second).toEqual(["ConnectionLost", "ConnectionLost"]);
    expect(writes).toHaveLength(4);
  });
});

describe("limits", () => {
  test("a write has at most `calls` calls, in the order of arrival", async () => {
    const { join, sent } = openByRule(() => undefined, { limits: { ...limits, calls: 2 } });
    await outcomes(join, ["a", "b", "c", "d", "e"]);
    expect(sent).toEqual([["a", "b"], ["c", "d"], ["e"]]);
  });

  test("a write has at most `bytes` bytes", async () => {
    const sizeOf = (call: Call): number => call.length;
    const { join, sent } = openByRule(() => undefined, { sizeOf, limits: { ...limits, bytes: 6 } });
    await outcomes(join, ["aaa", "bbb", "c", "dddd", "ee", "f"]);
    expect(sent).toEqual([
      ["aaa", "bbb"],
      ["c", "dddd"],
      ["ee", "f"],
    ]);
  });

  test("a call that is larger than the limit of a write is sent alone", async () => {
    const sizeOf = (call: Call): number => call.length;
    const { join, sent } = openByRule(() => undefined, { sizeOf, limits: { ...limits, bytes: 3 } });
    await outcomes(join, ["a", "bbbbbbbb", "c", "d"]);
    expect(sent).toEqual([["a"], ["bbbbbbbb"], ["c", "d"]]);
  });

  test("by default a write has at most a thousand calls and four MiB", async () => {
    const { join, sent } = openByRule(() => undefined);
    await outcomes(join, numbered(2_001));
    expect(sent.map((calls) => calls.length)).toEqual([1_000, 1_000, 1]);
    const large = openByRule(() => undefined, { sizeOf: () => 1_048_576 });
    await outcomes(large.join, numbered(9));
    expect(large.sent.map((calls) => calls.length)).toEqual([4, 4, 1]);
  });

  test("a call is refused at once while too many wait, the waiting calls are not", async () => {
    const { join, last, sent } = openByHand({ limits: { ...limits, waitingCalls: 2 } });
    const answers = [join("a")];
    await settled(); // a is being written and no longer waits
    answers.push(join("b"), join("c"));
    expect(await join("d").catch((error: unknown) => error)).toBeInstanceOf(Overloaded);
    await last().answer();
    await last().answer();
    expect(await Promise.all(answers)).toEqual(["a", "b", "c"].map(answerTo));
    expect(sent()).toEqual([["a"], ["b", "c"]]);
  });

  test("calls are accepted again after the waiting ones have been sent", async () => {
    const { join, last } = openByHand({ limits: { ...limits, waitingCalls: 1 } });
    void join("a");
    await settled();
    void join("b");
    expect(await join("c").catch((error: unknown) => error)).toBeInstanceOf(Overloaded);
    await last().answer();
    const again = join("d");
    await last().answer();
    await last().answer();
    expect(await again).toBe(answerTo("d"));
  });

  test("a call is refused while too many bytes wait, a smaller call is not", async () => {
    const sizeOf = (call: Call): number => call.length;
    const { join, last } = openByHand({ sizeOf, limits: { ...limits, waitingBytes: 10 } });
    void join("under way");
    await settled();
    const waiting = [join("12345678")];
    expect(await join("123").catch((error: unknown) => error)).toBeInstanceOf(Overloaded);
    waiting.push(join("12"));
    await last().answer();
    await last().answer();
    expect(await Promise.all(waiting)).toEqual([answerTo("12345678"), answerTo("12")]);
    const after = join("1234567890"); // no bytes wait any more
    await settled();
    await last().answer();
    expect(await after).toBe(answerTo("1234567890"));
  });

  test("by default ten thousand calls or 64 MiB may wait", async () => {
    const { join } = openByRule(() => undefined);
    const answers = await outcomes(join, numbered(10_001));
    expect(answers.filter((answer) => answer === "Overloaded").length).toBe(1);
    expect(answers.at(-1)).toBe("Overloaded");
    const large = openByRule(() => undefined, { sizeOf: () => 1_048_576 });
    const largeAnswers = await outcomes(large.join, numbered(66));
    expect(largeAnswers.map((answer) => answer === "Overloaded").indexOf(true)).toBe(64);
  });
});

describe("errors", () => {
  /** Refuses each write that contains one of these calls, with proof that nothing was written. */
  const failing =
    (...calls: readonly Call[]) =>
    (sent: readonly Call[]): void => {
      if (sent.some((call) => calls.includes(call))) throw new RolledBack();
    };

  test("of a write that was rolled back only the failing call is refused", async () => {
    const { join, sent } = openByRule(failing("call5"));
    const answers = await outcomes(join, numbered(8));
    expect(answers).toEqual(numbered(8).map((call) => (call === "call5" ? "RolledBack" : answerTo(call))));
    expect(sent.length).toBe(7); // all, then two halves of 8, 4 and 2
  });

  for (const fault of [0, 1, 6, 12]) {
    test(`the failing call is found among thirteen at place ${fault}`, async () => {
      const { join } = openByRule(failing(`call${fault}`));
      const answers = await outcomes(join, numbered(13));
      expect(answers.map((answer, n) => (answer === "RolledBack" ? n : -1)).filter((n) => n >= 0)).toEqual([
        fault,
      ]);
    });
  }

  test("all failing calls are refused, and no others", async () => {
    const { join } = openByRule(failing("call0", "call3", "call4", "call9"));
    const answers = await outcomes(join, numbered(10));
    expect(answers.map((answer) => answer === "RolledBack")).toEqual(
      numbered(10).map((call) => ["call0", "call3", "call4", "call9"].includes(call)),
    );
  });

  test("halves keep the order of the calls", async () => {
    const { join, sent } = openByRule(failing("call2"));
    await outcomes(join, numbered(4));
    expect(sent).toEqual([
      ["call0", "call1", "call2", "call3"],
      ["call0", "call1"],
      ["call2", "call3"],
      ["call2"],
      ["call3"],
    ]);
  });

  test("a single call that was rolled back is refused and not sent again", async () => {
    const { join, sent } = openByRule(failing("a"));
    expect(await outcomes(join, ["a"])).toEqual(["RolledBack"]);
    expect(sent).toEqual([["a"]]);
  });

  test("a lost connection refuses all calls of the write and sends none again: it may have committed", async () => {
    const { join, sent } = openByRule(() => {
      throw new ConnectionLost();
    });
    expect(await outcomes(join, ["a", "b", "c"])).toEqual([
      "ConnectionLost",
      "ConnectionLost",
      "ConnectionLost",
    ]);
    expect(sent).toEqual([["a", "b", "c"]]);
  });

  test("a connection that is lost during one of the halves refuses only the calls of that half", async () => {
    const { join, sent } = openByRule((calls) => {
      if (calls.length === 4) throw new RolledBack();
      if (calls.includes("call0")) throw new ConnectionLost();
    });
    expect(await outcomes(join, numbered(4))).toEqual([
      "ConnectionLost",
      "ConnectionLost",
      answerTo("call2"),
      answerTo("call3"),
    ]);
    expect(sent.length).toBe(3);
  });

  test("a write that throws before it returns a promise refuses its calls", async () => {
    const { join } = openByHand({
      send: () => {
        throw new ConnectionLost();
      },
    });
    expect(await outcomes(join, ["a", "b"])).toEqual(["ConnectionLost", "ConnectionLost"]);
  });

  test("a refused write does not affect the next one", async () => {
    const { join, last } = openByHand();
    const refused = outcomes(join, ["a", "b"]);
    await settled();
    const answered = join("c");
    await last().refuse(new ConnectionLost());
    expect(await refused).toEqual(["ConnectionLost", "ConnectionLost"]);
    await last().answer();
    expect(await answered).toBe(answerTo("c"));
  });

  test("a call that arrives while a write is tried in halves waits for the answers to all halves", async () => {
    const { join, last, sent } = openByHand();
    void outcomes(join, ["a", "b"]);
    await settled();
    const late = join("c");
    await last().refuse(new RolledBack());
    await last().answer();
    await last().answer();
    expect(sent()).toEqual([["a", "b"], ["a"], ["b"], ["c"]]);
    await last().answer();
    expect(await late).toBe(answerTo("c"));
  });
});

test("any mix of calls: each is answered once, in the order of its key and within the limits", async () => {
  const call = fc.record({
    key: fc.constantFrom("a", "b", "c", "d", "e"),
    bytes: fc.integer({ min: 1, max: 9 }),
    outcome: fc.constantFrom("answered", "answered", "answered", "rolled back"),
    turn: fc.boolean(),
  });
  const bounds = fc.record({ calls: fc.integer({ min: 1, max: 6 }), bytes: fc.integer({ min: 1, max: 25 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(call, { maxLength: 40 }), bounds, async (calls, bound) => {
      const names = calls.map(({ key, bytes, outcome }, n) => [key, n, bytes, outcome].join("."));
      const sizeOf = (name: Call): number => Number(name.split(".")[2]);
      const answered: Call[] = [];
      const { join, sent } = openByRule(
        (written) => {
          if (written.some((name) => name.endsWith("rolled back"))) throw new RolledBack();
          answered.push(...written);
        },
        { keyOf, sizeOf, limits: { ...limits, ...bound } },
      );
      const waiting: Promise<string[]>[] = [];
      for (const [n, name] of names.entries()) {
        waiting.push(outcomes(join, [name]));
        if (calls[n]?.turn) await settled();
      }
      const answers = (await Promise.all(waiting)).flat();
      expect(answers).toEqual(
        names.map((name) => (name.endsWith("rolled back") ? "RolledBack" : answerTo(name))),
      );
      for (const written of sent) {
        expect(new Set(written.map(keyOf)).size).toBe(written.length);
        expect(written.length).toBeLessThanOrEqual(bound.calls);
        const bytes = written.reduce((sum, name) => sum + sizeOf(name), 0);
        expect(written.length === 1 || bytes <= bound.bytes).toBe(true);
      }
      for (const key of ["a", "b", "c", "d", "e"]) {
        const mine = (name: Call): boolean => keyOf(name) === key && !name.endsWith("rolled back");
        expect(answered.filter(mine)).toEqual(names.filter(mine));
      }
    }),
    { numRuns: 60 },
  );
});
