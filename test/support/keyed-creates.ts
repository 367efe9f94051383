/** A process that creates keyed tasks without end in the store of its argument. A test freezes and kills it. */
import { create, TYPE_DEFAULTS } from "../../src/core/lifecycle.ts";
import { openTestStore } from "./stores.ts";

const store = await openTestStore(process.argv[2] ?? "");
console.log("open");
for (let n = 0; ; n++) {
  const drafts = Array.from({ length: 20 }, (_, at) =>
    create({ name: "a task", key: `${n} ${at}` }, TYPE_DEFAULTS, 0),
  );
  const idempotency = { scope: "s", key: `${n}`, fingerprint: "f", until: Number.MAX_SAFE_INTEGER };
  await store.insert([{ drafts, idempotency }], 0);
}
