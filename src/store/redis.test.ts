import { openRedis, removeKeys } from "../../test/support/redis.ts";
import { sharedRedis } from "../../test/support/servers/shared.ts";
import { examineStore } from "./store.suite.ts";

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
