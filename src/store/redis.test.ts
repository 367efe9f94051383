import { expect, test } from "bun:test";
import { keysOf, openRedis, removeKeys } from "../../test/support/redis.ts";
import { sharedRedis } from "../../test/support/servers/shared.ts";
import { ENDED_STATUSES } from "../core/task.ts";
import { examineStore } from "./store.suite.ts";
import { createExaminee } from "./suite/examinee.ts";

examineStore("redis", async () => {
  const { url, store } = await openRedis(sharedRedis());
  const { store: peer } = await openRedis(url);
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
});

test("a Redis store whose tasks have all been deleted keeps nothing of them but their changes", async () => {
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
