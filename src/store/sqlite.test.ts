import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createManualClock } from "../../test/support/clock.ts";
import { createTestLog } from "../../test/support/engine.ts";
import { create, TYPE_DEFAULTS } from "../core/lifecycle.ts";
import { systemClock } from "../lib/system-clock.ts";
import { openStore } from "./open.ts";
import { examineStore } from "./store.suite.ts";
import { HOUR_MS } from "./suite/examinee.ts";

examineStore("sqlite", async () => {
  const clock = createManualClock();
  const folder = await mkdtemp(join(tmpdir(), "tasktrack-"));
  const store = await openStore({
    url: `sqlite:${join(folder, "tasks.db")}`,
    clock: { ...clock, after: systemClock.after },
    log: createTestLog(),
    random: Math.random,
    nonce: () => crypto.randomUUID(),
    worker: "w",
    allowVolatileRedis: false,
  });
  return {
    store,
    peer: store,
    now: clock.now,
    forgetChanges: async () => {
      for (let made = 0; made <= 100_000; made += 1_000) {
        const drafts = Array.from({ length: 1_000 }, () => create({ name: "x" }, TYPE_DEFAULTS, clock.now()));
        await store.insert([{ drafts, idempotency: null }], clock.now());
      }
      await clock.advance(HOUR_MS + 1);
      const old = { epoch: (await store.changes(null, 1)).position.epoch, rev: 0 };
      while ((await store.changes(old, 1)).kind !== "gone") await new Promise((r) => setImmediate(r));
    },
    close: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
});
