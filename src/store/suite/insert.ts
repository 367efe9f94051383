import { expect } from "bun:test";
import { cancel, retry } from "../../core/lifecycle.ts";
import { ENDED_STATUSES } from "../../core/task.ts";
import type { InsertAnswer, InsertRequest } from "../store.ts";
import { type Exam, type Examinee, HOUR_MS, idsOf, nth, only, type Spec } from "./examinee.ts";

/** One request of several drafts. */
const requestOf = ({ draft }: Examinee, specs: readonly Spec[]): InsertRequest => ({
  drafts: specs.map((spec) => draft(spec)),
  idempotency: null,
});

const insertOne = async (x: Examinee, specs: readonly Spec[]): Promise<InsertAnswer> =>
  only(await x.store.insert([requestOf(x, specs)], x.t));

export function examineInsert(exam: Exam): void {
  exam("the first task of a store has the id 1", async ({ add }) => {
    expect((await add()).id).toBe(1);
  });

  exam("ids follow the order of the drafts through all requests of a call", async (x) => {
    const requests = [["a", "b"], ["c"], ["d", "e", "f"]].map((names) =>
      requestOf(
        x,
        names.map((name) => ({ name })),
      ),
    );
    expect(await x.store.insert(requests, x.t)).toEqual([
      { kind: "created", tasks: [1, 2].map((id) => ({ id, existing: false })) },
      { kind: "created", tasks: [{ id: 3, existing: false }] },
      { kind: "created", tasks: [4, 5, 6].map((id) => ({ id, existing: false })) },
    ]);
    const names = (await x.store.get([1, 2, 3, 4, 5, 6])).map((task) => task?.name);
    expect(names).toEqual(["a", "b", "c", "d", "e", "f"]);
  });

  exam("ids continue from call to call without a gap", async ({ add, addAll }) => {
    const ids = [await add(), ...(await addAll([{}, {}, {}])), await add()].map(({ id }) => id);
    expect(ids).toEqual([1, 2, 3, 4, 5]);
  });

  exam("a call without requests creates nothing", async ({ store, t, add }) => {
    expect(await store.insert([], t)).toEqual([]);
    expect((await add()).id).toBe(1);
  });

  exam("a thousand drafts of one request keep their order", async (x) => {
    const names = Array.from({ length: 1_000 }, (_, index) => `task ${index}`);
    await insertOne(
      x,
      names.map((name) => ({ name })),
    );
    const stored = await x.store.get(names.map((_, index) => index + 1));
    expect(stored.map((task) => task?.name)).toEqual(names);
  });

  exam("a stored task equals its draft with an id", async ({ draft, add, see }) => {
    const spec = { name: "n", type: "video.encode", payload: '{"a":1}', priority: 7, tags: ["x"], key: "k" };
    const { id } = await add(spec);
    expect(await see(id)).toStrictEqual({ ...draft(spec), id });
  });

  exam(
    "an id is never given again, also not the latest id after its task was deleted",
    async ({ addAll, add, removed }) => {
      await addAll([{}, {}, {}]);
      expect(await removed(3)).toBe(true);
      expect((await add()).id).toBe(4);
      expect(await removed(4)).toBe(true);
      expect(await removed(1)).toBe(true);
      expect(await removed(2)).toBe(true);
      expect((await add()).id).toBe(5);
    },
  );

  // ---- keys

  exam("a draft with the key of a pending task is answered with that task", async (x) => {
    const holder = await x.add({ key: "k" });
    const answer = await insertOne(x, [{ key: "k" }]);
    expect(answer).toEqual({ kind: "created", tasks: [{ id: holder.id, existing: true }] });
  });

  exam("a draft with the key of a running task is answered with that task", async (x) => {
    const holder = await x.run({ key: "k" });
    const answer = await insertOne(x, [{ key: "k" }]);
    expect(answer).toEqual({ kind: "created", tasks: [{ id: holder.id, existing: true }] });
  });

  exam("a key is taken until the task ends, also after a cancel request", async (x) => {
    const running = await x.run({ key: "k" });
    await x.step(running, cancel(running, x.t));
    const answer = await insertOne(x, [{ key: "k" }]);
    expect(answer).toEqual({ kind: "created", tasks: [{ id: running.id, existing: true }] });
  });

  exam("a draft that is answered with a task does not change the task", async (x) => {
    const holder = await x.add({ key: "k", name: "first", priority: 1 });
    await insertOne(x, [{ key: "k", name: "second", priority: 9 }]);
    expect(await x.see(holder.id)).toStrictEqual(holder);
  });

  for (const status of ENDED_STATUSES) {
    exam(`the key of a ${status} task is free`, async (x) => {
      const before = await x.ended(status, { key: "k" });
      const answer = await insertOne(x, [{ key: "k" }]);
      expect(answer).toEqual({ kind: "created", tasks: [{ id: before.id + 1, existing: false }] });
    });
  }

  exam("the key of a deleted task is free", async (x) => {
    const { id } = await x.add({ key: "k" });
    await x.removed(id);
    const answer = await insertOne(x, [{ key: "k" }]);
    expect(answer).toEqual({ kind: "created", tasks: [{ id: id + 1, existing: false }] });
  });

  exam(
    "a draft with the key of an earlier request of the same call is answered with that task",
    async (x) => {
      const requests = [[{ key: "k", name: "first" }], [{ name: "other" }], [{ key: "k", name: "third" }]];
      const answers = await x.store.insert(
        requests.map((specs) => requestOf(x, specs)),
        x.t,
      );
      expect(answers.map((answer) => (answer.kind === "mismatch" ? [] : answer.tasks))).toEqual([
        [{ id: 1, existing: false }],
        [{ id: 2, existing: false }],
        [{ id: 1, existing: true }],
      ]);
      expect((await x.see(1)).name).toBe("first");
    },
  );

  exam("a request may mix tasks that exist with new ones, and no id is skipped", async (x) => {
    await x.addAll([{ key: "a" }, { key: "b" }]);
    const answer = await insertOne(x, [{ key: "new" }, { key: "b" }, {}, { key: "a" }, {}]);
    expect(answer).toEqual({
      kind: "created",
      tasks: [
        { id: 3, existing: false },
        { id: 2, existing: true },
        { id: 4, existing: false },
        { id: 1, existing: true },
        { id: 5, existing: false },
      ],
    });
    expect((await x.add()).id).toBe(6);
  });

  exam("keys are compared exactly, character by character", async ({ addAll, store, t, draft }) => {
    const keys = ["key", "Key", "key ", " key", "ké", "ke\u0301", "key%", "k_y", "ключ", "КЛЮЧ", "null"];
    await addAll(keys.map((key) => ({ key })));
    const again = keys.map((key) => ({ drafts: [draft({ key })], idempotency: null }));
    expect(await store.insert(again, t)).toEqual(
      keys.map((_, index) => ({ kind: "created", tasks: [{ id: index + 1, existing: true }] })),
    );
  });

  exam("several tasks without a key are all created", async ({ addAll }) => {
    expect(idsOf(await addAll([{ key: null }, { key: null }, {}]))).toEqual([1, 2, 3]);
  });

  exam("the key of a retried task is taken again", async (x) => {
    const task = await x.ended("failed", { key: "k" });
    await x.step(task, retry(task, x.t + 2_000));
    const answer = await insertOne(x, [{ key: "k" }]);
    expect(answer).toEqual({ kind: "created", tasks: [{ id: task.id, existing: true }] });
  });

  // ---- get

  exam("get answers in the order of the ids, with null for missing tasks", async ({ addAll, store }) => {
    const tasks = await addAll([{ name: "a" }, { name: "b" }, { name: "c" }]);
    await store.remove([{ id: 2 }]);
    const found = await store.get([3, 2, 1, 99, Number.MAX_SAFE_INTEGER]);
    expect(found).toStrictEqual([nth(tasks, 2), null, nth(tasks, 0), null, null]);
  });

  exam("get answers an id that is given several times each time", async ({ add, store }) => {
    const task = await add();
    expect(await store.get([1, 1, 7, 1])).toStrictEqual([task, task, null, task]);
  });

  exam("get without ids has an empty answer", async ({ store }) => {
    expect(await store.get([])).toEqual([]);
  });

  exam("get finds each of a thousand tasks", async ({ addAll, store }) => {
    const tasks = await addAll(Array.from({ length: 1_000 }, (_, index) => ({ name: `task ${index}` })));
    expect(await store.get(idsOf(tasks).toReversed())).toEqual(tasks.toReversed());
  });

  exam("a task that is due later is stored unchanged", async ({ add, see, t }) => {
    const task = await add({ runAt: t + HOUR_MS });
    expect(await see(task.id)).toStrictEqual(task);
  });
}
