import { expect, test } from "bun:test";
import { keysOf, openRedis, removeKeys } from "../../test/support/redis.ts";
import { sharedRedis } from "../../test/support/servers/shared.ts";
import { create, TYPE_DEFAULTS } from "../core/lifecycle.ts";
import { ENDED_STATUSES } from "../core/task.ts";
import type { ScriptBounds } from "./redis/scripts.ts";
import { examineSharedStore, examineStore } from "./store.suite.ts";
import { createExaminee, type Opened } from "./suite/examinee.ts";
import { oldDocumentsAfterSteps } from "./suite/once.ts";

async function open(bounds?: ScriptBounds): Promise<Opened> {
  const { url, store } = await openRedis(sharedRedis(), {}, bounds);
  const { store: peer } = await openRedis(url, {}, bounds);
  const now = await store.now();
  return {
    store,
    peer,
    now: () => now,
    forgetChanges: () => removeKeys(url, "changes"),
    close: async () => {
      await Promise.all([store.close(), peer.close()]);
      await removeKeys(url);
    },
  };
}

examineStore("redis", open);
examineSharedStore("redis", open);

// Every prefix has too many lanes to list, and most claims take several scripts.
const TINY = { listed: 1, looked: 2, countedAtOnce: 1 };
examineStore("redis with the smallest scripts", () => open(TINY), ["claim", "typeCounts", "races"]);

test("a claim ends at about eight megabytes of tasks, and the next claim continues", async () => {
  const { url, store } = await openRedis(sharedRedis());
  const payload = JSON.stringify("x".repeat(900_000));
  const drafts = Array.from({ length: 12 }, () => create({ name: "large", payload }, TYPE_DEFAULTS, 0));
  for (const draft of drafts) await store.insert([{ drafts: [draft], idempotency: null }], 0);
  const ask = { worker: "w", types: ["*"], max: 6, leaseMs: 1_000 };
  const sizes = async () =>
    (await store.claim([ask, ask, ask], { now: 0, nonce: "n" })).map((tasks) => tasks.length);
  // The tasks are below the bound with nine of them, and above it with ten.
  expect(await sizes()).toEqual([6, 4, 0]);
  expect(await sizes()).toEqual([2, 0, 0]);
  await store.close();
  await removeKeys(url);
});

test("a task that is larger than a whole answer is claimed alone", async () => {
  const { url, store } = await openRedis(sharedRedis());
  const payload = JSON.stringify("x".repeat(9_000_000));
  for (let n = 0; n < 2; n++) {
    await store.insert(
      [{ drafts: [create({ name: "huge", payload }, TYPE_DEFAULTS, 0)], idempotency: null }],
      0,
    );
  }
  const ask = { worker: "w", types: ["*"], max: 2, leaseMs: 1_000 };
  for (let n = 0; n < 2; n++)
    expect((await store.claim([ask], { now: 0, nonce: "n" })).flat()).toHaveLength(1);
  await store.close();
  await removeKeys(url);
});

test("a Redis store whose tasks have all been deleted keeps only their changes", async () => {
  const { url, store } = await openRedis(sharedRedis());
  const x = createExaminee({
    store,
    peer: store,
    now: () => 0,
    forgetChanges: store.close,
    close: store.close,
  });
  const message = { level: "info", message: "a line" } as const;
  await x.add({ key: "pending", payload: "1", priority: 3, type: "other" });
  const running = await x.run({ key: "running" });
  await x.beat(running, 1, { progress: { percent: 1, message: "" }, log: [message] });
  for (const status of ENDED_STATUSES) await x.ended(status, { key: status, payload: "1" });
  const { tasks } = await store.list({ filter: {}, sort: "id", after: null, limit: 100 });
  expect(await store.remove(tasks)).toEqual(tasks.map(() => true));
  expect(await keysOf(url)).toEqual(["changes", "house"]);
  await store.close();
  await removeKeys(url);
});

test("steps of a Redis store that write new documents delete expired ones", async () => {
  const opened = await open();
  expect(await oldDocumentsAfterSteps(createExaminee(opened))).toEqual([]);
  await opened.close();
});
