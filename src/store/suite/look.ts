import { expect } from "bun:test";
import type { LookQuery, TaskStore } from "../store.ts";
import { type Exam, HOUR_MS } from "./examinee.ts";

const QUERY: LookQuery = { types: ["*"], leases: true, documents: "worker/" };

const look = (store: Pick<TaskStore, "look">, query: Partial<LookQuery> = {}) =>
  store.look({ ...QUERY, ...query });

export function examineLook(exam: Exam): void {
  exam("a look answers the time of the store's clock", async ({ store }) => {
    const [before, looked, after] = [await store.now(), await look(store), await store.now()];
    expect(looked.now).toBeGreaterThanOrEqual(before);
    expect(after).toBeGreaterThanOrEqual(looked.now);
  });

  exam("a look finds a due task of its types, of each priority", async (x) => {
    await x.add({ type: "later", runAt: x.t + HOUR_MS, priority: 9 });
    await x.add({ type: "a.b", priority: -3 });
    for (const types of [["a.b"], ["x", "a.*"], ["*"]])
      expect((await look(x.peer, { types })).isDue).toBe(true);
  });

  exam("a look finds a lease that is over", async (x) => {
    await x.run({}, { at: x.t - HOUR_MS });
    expect((await look(x.peer)).isExpired).toBe(true);
  });

  exam("a look finds a document whose name begins so", async ({ store, peer, t }) => {
    await store.writeDocuments([{ name: "worker/a", value: "1", until: t + HOUR_MS }], t);
    expect((await look(peer)).hasDocuments).toBe(true);
  });
}

/** For stores that several processes share: a look that finds nothing saves them other calls. */
export function examineLooksForNothing(exam: Exam): void {
  exam("a look finds nothing in a store without tasks", async ({ store }) => {
    expect(await look(store)).toMatchObject({ isDue: false, isExpired: false, hasDocuments: false });
  });

  exam(
    "a look finds no task of other types, or that is due later, and no lease that still runs",
    async (x) => {
      await x.add({ type: "other" });
      await x.add({ type: "a", runAt: x.t + HOUR_MS });
      await x.run({ type: "b" });
      await x.store.writeDocuments([{ name: "drain/a", value: "1", until: x.t + HOUR_MS }], x.t);
      const looked = await look(x.store, { types: ["a", "b", "oth", "o.*"] });
      expect(looked).toMatchObject({ isDue: false, isExpired: false, hasDocuments: false });
    },
  );
}
