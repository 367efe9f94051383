import { expect } from "bun:test";
import type { Idempotency, InsertAnswer, InsertRequest } from "../store.ts";
import { type Exam, type Examinee, HOUR_MS, only, type Spec } from "./examinee.ts";

/** A request under an idempotency key, by default `k`, which is kept for an hour. */
const keyed = (
  { draft, t }: Examinee,
  idempotency: Partial<Idempotency> = {},
  specs: readonly Spec[] = [{}],
): InsertRequest => ({
  drafts: specs.map((spec) => draft(spec)),
  idempotency: { scope: "", key: "k", fingerprint: "f1", until: t + HOUR_MS, ...idempotency },
});

const insertAt = async (x: Examinee, at: number, request: InsertRequest): Promise<InsertAnswer> =>
  only(await x.store.insert([request], at));

const insertKeyed = (x: Examinee, idempotency: Partial<Idempotency> = {}): Promise<InsertAnswer> =>
  insertAt(x, x.t, keyed(x, idempotency));

const created = (...ids: number[]): InsertAnswer => ({
  kind: "created",
  tasks: ids.map((id) => ({ id, existing: false })),
});

/** An answer without `existing`. */
const kindAndIds = (answer: InsertAnswer) =>
  answer.kind === "mismatch" ? [answer.kind] : [answer.kind, ...answer.tasks.map(({ id }) => id)];

export function examineIdempotency(exam: Exam): void {
  exam("the same request again gets the ids of the first", async (x) => {
    const request = keyed(x, {}, [{ name: "a" }, { name: "b" }, { name: "c" }]);
    expect(await insertAt(x, x.t, request)).toEqual(created(1, 2, 3));
    expect(kindAndIds(await insertAt(x, x.t + 1, request))).toEqual(["repeated", 1, 2, 3]);
    expect(kindAndIds(await insertAt(x, x.t + 2, request))).toEqual(["repeated", 1, 2, 3]);
  });

  exam("a repeated request creates nothing and skips no id", async (x) => {
    await insertKeyed(x);
    await insertKeyed(x);
    await insertKeyed(x);
    expect(await x.store.count({})).toBe(1);
    expect((await x.add()).id).toBe(2);
  });

  exam("the same key with another fingerprint is a mismatch", async (x) => {
    await insertKeyed(x);
    expect(await insertKeyed(x, { fingerprint: "f2" })).toEqual({ kind: "mismatch" });
  });

  exam("a mismatch creates nothing and skips no id", async (x) => {
    await insertKeyed(x);
    await insertKeyed(x, { fingerprint: "f2" });
    expect(await x.store.count({})).toBe(1);
    expect((await x.add()).id).toBe(2);
  });

  exam("a mismatch leaves the first answer as it is", async (x) => {
    await insertKeyed(x);
    await insertKeyed(x, { fingerprint: "f2" });
    expect(kindAndIds(await insertKeyed(x))).toEqual(["repeated", 1]);
  });

  exam("the same key in another scope is another request", async (x) => {
    expect(await insertKeyed(x, { scope: "" })).toEqual(created(1));
    expect(await insertKeyed(x, { scope: "tenant" })).toEqual(created(2));
    expect(kindAndIds(await insertKeyed(x, { scope: "" }))).toEqual(["repeated", 1]);
    expect(kindAndIds(await insertKeyed(x, { scope: "tenant" }))).toEqual(["repeated", 2]);
  });

  exam("another key in the same scope is another request", async (x) => {
    const keys = ["k", "K", "k ", "ключ", "k:k", "*", "\u{1F511}"];
    for (const [index, key] of keys.entries())
      expect(await insertKeyed(x, { key })).toEqual(created(index + 1));
  });

  exam("scope and key are compared separately", async (x) => {
    const pairs: [string, string][] = [
      ["a", "b:c"],
      ["a:b", "c"],
      ["", "a:b:c"],
      ["a:b:c", ""],
      ["a", "b,c"],
      ["a,b", "c"],
    ];
    for (const [index, [scope, key]] of pairs.entries()) {
      expect(await insertKeyed(x, { scope, key })).toEqual(created(index + 1));
    }
  });

  exam("a request that is twice in one call is created once", async (x) => {
    const answers = await x.store.insert([keyed(x), keyed(x)], x.t);
    expect(answers.map(kindAndIds)).toEqual([
      ["created", 1],
      ["repeated", 1],
    ]);
    expect(await x.store.count({})).toBe(1);
  });

  exam(
    "two requests of one call with one key and different fingerprints: the second mismatches",
    async (x) => {
      const answers = await x.store.insert([keyed(x), keyed(x, { fingerprint: "f2" })], x.t);
      expect(answers.map(kindAndIds)).toEqual([["created", 1], ["mismatch"]]);
    },
  );

  exam("repeats and mismatches do not affect the other requests of the call", async (x) => {
    await insertKeyed(x);
    const answers = await x.store.insert(
      [
        keyed(x, { key: "new" }),
        keyed(x),
        keyed(x, { fingerprint: "f2" }),
        { drafts: [x.draft(), x.draft()], idempotency: null },
      ],
      x.t,
    );
    expect(answers.map(kindAndIds)).toEqual([
      ["created", 2],
      ["repeated", 1],
      ["mismatch"],
      ["created", 3, 4],
    ]);
  });

  exam("a request is remembered until its time", async (x) => {
    await insertKeyed(x, { until: x.t + 1_000 });
    expect(kindAndIds(await insertAt(x, x.t + 999, keyed(x)))).toEqual(["repeated", 1]);
  });

  exam("after its time a request is created again", async (x) => {
    await insertKeyed(x, { until: x.t + 1_000 });
    expect(await insertAt(x, x.t + 1_001, keyed(x))).toEqual(created(2));
  });

  exam("after its time a key can have another fingerprint", async (x) => {
    await insertKeyed(x, { until: x.t + 1_000 });
    expect(await insertAt(x, x.t + 1_001, keyed(x, { fingerprint: "f2" }))).toEqual(created(2));
    expect(await insertAt(x, x.t + 1_002, keyed(x))).toEqual({ kind: "mismatch" });
  });

  exam("a request that was created again is remembered again", async (x) => {
    await insertKeyed(x, { until: x.t + 1_000 });
    const again = keyed(x, { until: x.t + 5_000 });
    await insertAt(x, x.t + 1_001, again);
    expect(kindAndIds(await insertAt(x, x.t + 4_999, again))).toEqual(["repeated", 2]);
  });

  exam("a repeat does not lengthen the time of the first request", async (x) => {
    await insertKeyed(x, { until: x.t + 1_000 });
    await insertAt(x, x.t + 500, keyed(x, { until: x.t + 9_000 }));
    expect(await insertAt(x, x.t + 1_001, keyed(x))).toEqual(created(2));
  });

  exam("each request has its own time, which earlier requests do not change", async (x) => {
    await insertKeyed(x, { key: "long", until: x.t + HOUR_MS });
    await insertKeyed(x, { key: "short", until: x.t + 1_000 });
    expect(await insertAt(x, x.t + 1_001, keyed(x, { key: "short" }))).toEqual(created(3));
    expect(kindAndIds(await insertAt(x, x.t + 1_001, keyed(x, { key: "long" })))).toEqual(["repeated", 1]);
  });

  exam("a repeated request also gets its ids after the tasks have ended or were deleted", async (x) => {
    await insertAt(x, x.t, keyed(x, {}, [{}, {}]));
    await x.settled(await x.start(await x.see(1)), { kind: "done", result: null });
    await x.removed(2);
    expect(kindAndIds(await insertAt(x, x.t + 5_000, keyed(x)))).toEqual(["repeated", 1, 2]);
  });

  exam(
    "a request that was answered with the task of its key is remembered with that task's id",
    async (x) => {
      const holder = await x.add({ key: "task-key" });
      const request = keyed(x, {}, [{}, { key: "task-key" }]);
      expect(await insertAt(x, x.t, request)).toEqual({
        kind: "created",
        tasks: [
          { id: 2, existing: false },
          { id: holder.id, existing: true },
        ],
      });
      await x.removed(holder.id);
      expect(kindAndIds(await insertAt(x, x.t, request))).toEqual(["repeated", 2, holder.id]);
    },
  );
}
