import { expect } from "bun:test";
import { cancel, edit, retry } from "../../core/lifecycle.ts";
import type { Task } from "../../core/task.ts";
import type { OnceDocument, ReplaceAnswer, TaskStore } from "../store.ts";
import { type Exam, type Examinee, HOUR_MS, only } from "./examinee.ts";

const documentAt = ({ t }: Examinee, fields: Partial<OnceDocument> = {}): OnceDocument => ({
  ...{ name: "call/1", value: "the result", until: t + HOUR_MS, now: t },
  ...fields,
});

const write = async (
  { store }: Pick<Examinee, "store">,
  from: Task,
  to: Task,
  once: OnceDocument,
): Promise<ReplaceAnswer> => only(await store.replace([{ from, to, once }]));

const remove = async (store: TaskStore, id: number, once: OnceDocument, version?: number): Promise<boolean> =>
  only(await store.remove([{ id, once, ...(version === undefined ? {} : { version }) }]));

const valuesOf = async ({ store, t }: Examinee, at = t): Promise<string[]> =>
  (await store.readDocuments("call/", at)).documents.map(({ value }) => value);

/** Steps and deletions that write a document: they are carried out once, however often they are called. */
export function examineOnce(exam: Exam): void {
  exam("a step and its document are written together", async (x) => {
    const task = await x.add();
    const edited = edit(task, { name: "new" }, x.t);
    expect(await write(x, task, edited, documentAt(x))).toBe("ok");
    expect(await x.see(task.id)).toStrictEqual(edited);
    const { documents } = await x.peer.readDocuments("call/", x.t);
    const { now: _, ...document } = documentAt(x);
    expect(documents).toStrictEqual([{ ...document, version: 1 }]);
  });

  exam(
    "a step whose document exists is stale and changes nothing, also if it differs from the first step",
    async (x) => {
      const task = await x.ended("failed");
      const first = retry(task, x.t + 2_000);
      expect(await write(x, task, first, documentAt(x))).toBe("ok");
      const again = cancel(first, x.t + 3_000);
      await x.step(first, again);
      expect(await write(x, again, retry(again, x.t + 4_000), documentAt(x, { value: "again" }))).toBe(
        "stale",
      );
      expect(await x.see(task.id)).toStrictEqual(again);
      expect(await valuesOf(x)).toEqual(["the result"]);
    },
  );

  exam("a step that is stale or `key_taken` writes no document", async (x) => {
    const holder = await x.ended("done", { key: "k" });
    const task = await x.add({ key: "k" });
    await x.step(task, edit(task, { name: "new" }, x.t));
    expect(await write(x, task, edit(task, { name: "late" }, x.t), documentAt(x))).toBe("stale");
    expect(await write(x, holder, retry(holder, x.t + 2_000), documentAt(x))).toBe("key_taken");
    expect(await valuesOf(x)).toEqual([]);
  });

  exam("a step whose document exists is stale, also if another task has its key now", async (x) => {
    const holder = await x.ended("done", { key: "k" });
    await x.add({ key: "k" });
    const other = await x.add();
    expect(await write(x, other, edit(other, { name: "new" }, x.t), documentAt(x))).toBe("ok");
    expect(await write(x, holder, retry(holder, x.t + 2_000), documentAt(x, { value: "again" }))).toBe(
      "stale",
    );
  });

  exam("a step is carried out if its document has expired", async (x) => {
    const task = await x.add();
    const [first, second] = [edit(task, { name: "1" }, x.t), edit(task, { name: "2" }, x.t)];
    expect(await write(x, task, first, documentAt(x, { until: x.t + 1_000 }))).toBe("ok");
    const later = { now: x.t + 1_000, until: x.t + HOUR_MS, value: "later" };
    const next = { ...second, version: first.version + 1 };
    expect(await write(x, first, next, documentAt(x, { ...later, now: x.t + 999 }))).toBe("stale");
    expect(await write(x, first, next, documentAt(x, later))).toBe("ok");
    expect(await valuesOf(x, x.t + 1_000)).toEqual(["later"]);
  });

  exam("a call may have steps with and without documents, each carried out on its own", async (x) => {
    const tasks = await x.addAll([{}, {}, {}]);
    const steps = tasks.map((task) => ({ from: task, to: edit(task, { name: "new" }, x.t) }));
    const [a, b, c] = steps as [(typeof steps)[0], (typeof steps)[0], (typeof steps)[0]]; // one task for each draft
    const answers = await x.store.replace([{ ...a, once: documentAt(x) }, b, { ...c, once: documentAt(x) }]);
    expect(answers).toEqual(["ok", "ok", "stale"]);
    expect((await x.see(c.from.id)).version).toBe(1);
  });

  exam(
    "steps with and without documents are carried out in their order, if one frees the key of another",
    async (x) => {
      const ended = await x.ended("done", { key: "k" });
      const holder = await x.add({ key: "k" });
      const frees = { from: holder, to: cancel(holder, x.t + 2_000), once: documentAt(x) };
      const takes = { from: ended, to: retry(ended, x.t + 2_000) };
      expect(await x.store.replace([frees, takes])).toEqual(["ok", "ok"]);
      const [late, early] = [await x.see(ended.id), await x.see(holder.id)];
      const again = { from: early, to: retry(early, x.t + 3_000), once: documentAt(x, { name: "call/2" }) };
      expect(await x.store.replace([again, { from: late, to: cancel(late, x.t + 3_000) }])).toEqual([
        "key_taken",
        "ok",
      ]);
    },
  );

  exam("a deletion and its document are written together, once", async (x) => {
    const [first, second] = (await x.addAll([{}, {}])) as [Task, Task]; // one task for each draft
    expect(await remove(x.store, first.id, documentAt(x))).toBe(true);
    expect(await remove(x.peer, second.id, documentAt(x))).toBe(false);
    expect(await x.find(first.id)).toBeNull();
    expect(await x.see(second.id)).toStrictEqual(second);
    expect(await valuesOf(x)).toEqual(["the result"]);
  });

  exam("a deletion of a missing task or of another version writes no document", async (x) => {
    const task = await x.add();
    expect(await remove(x.store, task.id, documentAt(x), 7)).toBe(false);
    expect(await remove(x.store, task.id + 1, documentAt(x))).toBe(false);
    expect(await valuesOf(x)).toEqual([]);
    expect(await remove(x.store, task.id, documentAt(x), task.version)).toBe(true);
  });

  exam("a call may have deletions with and without documents, each carried out on its own", async (x) => {
    const [a, b, c] = (await x.addAll([{}, {}, {}])) as [Task, Task, Task]; // one task for each draft
    const once = documentAt(x);
    expect(await x.store.remove([{ id: a.id, once }, { id: b.id }, { id: c.id, once }])).toEqual([
      ...[true, true, false],
    ]);
  });

  exam("of many steps at the same time with one document, one is carried out", async (x) => {
    const tasks = await x.addAll(Array.from({ length: 12 }, () => ({})));
    const answers = await Promise.all(
      tasks.map((task, n) => {
        const at = n % 2 === 0 ? x.store : x.peer;
        const value = String(task.id);
        return n % 3 === 0
          ? remove(at, task.id, documentAt(x, { value }))
          : write({ store: at }, task, edit(task, { name: "new" }, x.t), documentAt(x, { value }));
      }),
    );
    const winners = tasks.filter((_, n) => answers[n] === "ok" || answers[n] === true);
    expect(winners).toHaveLength(1);
    expect(await valuesOf(x)).toEqual([String(winners[0]?.id)]);
    const changed = await Promise.all(tasks.map(({ id }) => x.find(id)));
    expect(changed.filter((task) => task === null || task.version > 1)).toHaveLength(1);
  });
}

/** The documents of ten steps that are left after they have expired and ten later steps have written documents. */
export async function oldDocumentsAfterSteps(x: Examinee): Promise<string[]> {
  const tasks = await x.addAll(Array.from({ length: 20 }, () => ({})));
  const [first, later] = [tasks.slice(0, 10), tasks.slice(10)];
  for (const task of first) {
    const once = documentAt(x, { name: `call/old ${task.id}`, value: "old", until: x.t + 1_000 });
    expect(await write(x, task, edit(task, { name: "new" }, x.t), once)).toBe("ok");
  }
  for (const [n, task] of later.entries()) {
    const once = documentAt(x, { name: `call/new ${task.id}`, value: "new", now: x.t + 1_000 });
    if (n % 2 === 0) expect(await remove(x.store, task.id, once)).toBe(true);
    else expect(await write(x, task, edit(task, { name: "new" }, x.t), once)).toBe("ok");
  }
  expect(await valuesOf(x, x.t + 1_000)).toHaveLength(10);
  return (await valuesOf(x)).filter((value) => value === "old");
}
