import { expect } from "bun:test";
import { cancel, edit, expire, extend, retry, settle, type TaskPatch } from "../../core/lifecycle.ts";
import type { Outcome } from "../../core/outcome.ts";
import { LIMITS, type Task } from "../../core/task.ts";
import { claimedAs, type Exam, FAILED, HOUR_MS, LEASE_MS, nth, RELEASED, type Spec } from "./examinee.ts";

const YEAR_0001 = Date.parse("0001-01-01T00:00:00.000Z");
const YEAR_9999 = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** Texts that drivers, separators, collations and escapes are known to change. */
const TEXTS: Record<string, string> = {
  "emoji of several code points": "👩‍👩‍👧‍👦 🏳️‍🌈 👍🏽 🇺🇦",
  "writing from right to left": "שלום עולם — مرحبا بالعالم \u202Eabc\u202C",
  "letters composed and not": "é ≠ e\u0301, Å ≠ A\u030A ≠ \u212B",
  "ten thousand characters": "Ω😀".repeat(5_000),
  "white space at its ends": " \t a task \r\n ",
  "line ends and control characters": "a\nb\r\nc\u2028d\u0001e\u007Ff\u0085",
  "quotes and escapes": `'; DROP TABLE tasks; -- "x" \\ \\n %s $1 :a ? \${x} \u0060`,
  "the word null": "null",
  "a text like a number": "007",
  "characters outside the basic plane": "\u{10FFFF}\u{1F600}\u{20000}",
  "noncharacters and a byte order mark": "\uFEFFa\uFFFEb\uFFFF",
};

/** JSON that a parse and a stringify would change. */
const JSON_TEXTS: Record<string, string> = {
  "keys in their order": '{"z":1,"a":2,"10":3,"9":4}',
  "a key that comes twice": '{"a":1,"a":2}',
  "the escape of NUL": '{"nul":"\\u0000","key\\u0000":1}',
  "the escape of a lone surrogate": '"\\ud800"',
  "unnecessary escapes": '"\\u0061\\/\\u00e9"',
  "white space": ' {\n\t"a" : [ 1 , 2 ] } ',
  "numbers that a double cannot represent": "[12345678901234567890,1e400,0.1000,-0,1E2]",
  "a string as the whole document": '"text"',
  "null, which differs from no payload": "null",
  "an empty text": '""',
  "a prototype": '{"__proto__":{"a":1},"constructor":null}',
  depth: `${"[".repeat(64)}${"]".repeat(64)}`,
  "half a megabyte": JSON.stringify({ text: "ж".repeat(250_000) }),
};

const SPECS: Record<string, Spec> = {
  "the highest priority": { priority: LIMITS.priority },
  "the lowest priority": { priority: -LIMITS.priority },
  "a due time long ago": { runAt: 0 },
  "the first due time": { runAt: YEAR_0001 },
  "the last due time": { runAt: YEAR_9999 },
  "no time limit": { timeoutMs: null },
  "a limit of one millisecond": { timeoutMs: 1 },
  "a limit of some weeks": { timeoutMs: 40 * 24 * HOUR_MS },
  "one attempt": { maxAttempts: 1 },
  "many attempts": { maxAttempts: 1_000_000 },
  "a backoff of its own": { backoff: { baseMs: 0, maxMs: 30 * 24 * HOUR_MS } },
  "a longest type": { type: "aZ09._-".repeat(10).slice(0, LIMITS.typeLength) },
  "a longest name": { name: "😀".repeat(LIMITS.nameCodePoints) },
  "a longest key": { key: "🔑".repeat(LIMITS.keyCodePoints) },
  "no description": { description: "" },
  "no tags": { tags: [] },
  "tags in their order, with repetitions": { tags: ["b", "a", "c", "a"] },
  "tags that look like syntax": {
    tags: ["NULL", "a,b", "{x}", '"quoted"', "back\\slash", " spaced ", "", "[1]", "ключ", "😀"],
  },
  "no labels": { labels: {} },
  "labels that look like syntax": {
    labels: { "1": "NULL", a: '"quoted"', "b.c/d-e_f": "back\\slash {x} 'y'", constructor: "", z: "😀\n" },
  },
  "twenty long labels": {
    labels: Object.fromEntries(
      Array.from({ length: LIMITS.labels }, (_, n) => [
        `n${n}`.padEnd(64, "x"),
        "é".repeat(LIMITS.labelValueCodePoints),
      ]),
    ),
  },
  "twenty long tags": { tags: Array.from({ length: LIMITS.tags }, (_, n) => `${n}`.padEnd(64, "é")) },
};

const PATCHES: Record<string, TaskPatch> = {
  "all fields at the same time": {
    name: "new name",
    description: "new description",
    tags: ["new", "tags"],
    labels: { new: "label" },
    payload: '{"new": 1}',
    priority: 9,
    runAt: YEAR_9999,
    timeoutMs: 5_000,
    maxAttempts: 9,
  },
  "the removal of a payload": { payload: null },
  "the removal of a time limit": { timeoutMs: null },
  "tags away": { tags: [] },
  "labels away": { labels: {} },
};

/** Tasks step by step: after each step the stored task equals the result of the rule. */
export function examineFidelity(exam: Exam): void {
  for (const [what, text] of Object.entries(TEXTS)) {
    exam(`texts keep ${what}`, async ({ add, see }) => {
      const name = [...text].slice(0, LIMITS.nameCodePoints).join("");
      const tag = [...text].slice(0, LIMITS.tagCodePoints).join("");
      const task = await add({ name, description: text, tags: [tag, "other"], key: name });
      expect(await see(task.id)).toStrictEqual(task);
    });
  }

  for (const [what, payload] of Object.entries(JSON_TEXTS)) {
    exam(`a payload keeps ${what}`, async ({ add, see }) => {
      const task = await add({ payload });
      expect((await see(task.id)).payload).toBe(payload);
    });
  }

  exam("a result is kept exactly", async ({ run, step, see, t }) => {
    for (const result of Object.values(JSON_TEXTS)) {
      const running = await run();
      const outcome = { kind: "done", result } as const;
      const done = await step(running, settle(running, { token: running.token, outcome }, t + 1, 0));
      expect(await see(done.id)).toStrictEqual(done);
    }
  });

  exam("a missing payload and a missing result are null, not a text", async ({ ended, see }) => {
    const { payload, result } = await see((await ended("done")).id);
    expect({ payload, result }).toEqual({ payload: null, result: null });
  });

  for (const [what, spec] of Object.entries(SPECS)) {
    exam(`a task keeps ${what}`, async ({ add, see }) => {
      const task = await add(spec);
      expect(await see(task.id)).toStrictEqual(task);
    });
  }

  for (const [what, patch] of Object.entries(PATCHES)) {
    exam(`an edit stores ${what}`, async ({ add, step, see, t }) => {
      const task = await add({ payload: "1", timeoutMs: 1, tags: ["old"], key: "k" });
      const edited = await step(task, edit(task, patch, t + 1));
      expect(await see(task.id)).toStrictEqual(edited);
    });
  }

  exam("progress is kept exactly", async ({ run, beat, see, t }) => {
    const running = await run();
    let task: Task = running;
    const said = [
      { percent: 0, message: "" },
      { percent: 33.3, message: "a third" },
      { percent: 99.999, message: nth(Object.values(TEXTS), 6) },
      { percent: 100, message: "ж".repeat(LIMITS.messageLength) },
    ];
    for (const [index, progress] of said.entries()) {
      await beat(running, t + index, { progress });
      task = extend(task, { token: running.token, progress }, t + index);
      expect(await see(running.id)).toStrictEqual(task);
    }
  });

  exam("errors are kept exactly, also an empty message", async ({ run, settled, see }) => {
    for (const message of ["", ...Object.values(TEXTS).map((text) => text.slice(0, LIMITS.messageLength))]) {
      const failed = await settled(await run(), { ...FAILED, error: { code: "odd-code", message } });
      expect(await see(failed.id)).toStrictEqual(failed);
      expect(failed.error?.message).toBe(message);
    }
  });

  exam("a worker's name is kept exactly", async ({ run, see }) => {
    const worker = "worker 😀 'one' \\ \"two\"";
    const running = await run({}, { worker });
    expect((await see(running.id)).lease?.worker).toBe(worker);
  });

  exam("a successful task is stored as the rules made it", async ({ run, beat, step, see, t }) => {
    const running = await run();
    const progress = { percent: 50, message: "half" };
    await beat(running, t + 1, { progress });
    const beaten = extend(running, { token: running.token, progress }, t + 1);
    const outcome = { kind: "done", result: '{"ok":true}' } as const;
    const done = await step(beaten, settle(beaten, { token: running.token, outcome }, t + 2, 0));
    expect(await see(running.id)).toStrictEqual(done);
  });

  exam("failures, releases, losses, retries and cancels of a task are stored step by step", async (x) => {
    let task: Task = await x.add({ key: "k", maxAttempts: 2, payload: "[1]", tags: ["a"] });
    let at = x.t;

    const live = async (rule: (task: Task, now: number) => Task): Promise<void> => {
      at += 5;
      task = await x.step(task, rule(task, at));
      expect(await x.see(task.id)).toStrictEqual(task);
    };
    const begin = async (): Promise<void> => {
      at = Math.max(at, task.runAt) + 5;
      const pending = task;
      task = await x.start(pending, { at, nonce: `n${at}` });
      expect(task).toStrictEqual(claimedAs(pending, { at, nonce: `n${at}` }));
    };
    const end = (outcome: Outcome) =>
      live((from, now) => settle(from, { token: from.token ?? "", outcome }, now, 0.9));
    const lose = async (): Promise<void> => {
      at += LEASE_MS;
      await live(expire);
    };

    for (const outcome of [RELEASED, { ...FAILED, retryable: true }, FAILED]) {
      await begin();
      await end(outcome);
    }
    expect(task).toMatchObject({ status: "failed" });
    await live(retry);
    for (let losses = 0; losses < LIMITS.lostLeases; losses++) {
      await begin();
      await lose();
    }
    expect(task).toMatchObject({ status: "failed" });
    await live(retry);
    await live(cancel);
    await live(retry);
    await begin();
    await live(cancel);
    await end(FAILED);
    expect(task).toMatchObject({ status: "cancelled", claims: 7, key: "k" });
  });

  exam(
    "the last attempts are kept exactly, earlier ones are removed",
    async ({ add, start, step, see, t }) => {
      let task: Task = await add();
      for (let n = 0; n <= LIMITS.attemptsKept; n++) {
        const running = await start(task, { at: t + n, nonce: `n${n}` });
        task = await step(running, settle(running, { token: running.token, outcome: RELEASED }, t + n, 0));
      }
      expect(task.attempts.length).toBe(LIMITS.attemptsKept);
      expect(await see(task.id)).toStrictEqual(task);
    },
  );
}
