import { afterAll, afterEach, beforeEach, describe, expect, test } from "bun:test";
import { RedisClient } from "bun";
import { keysOf, openRedis, removeKeys } from "../../../test/support/redis.ts";
import { sharedRedis } from "../../../test/support/servers/shared.ts";
import { create, type TaskSpec, TYPE_DEFAULTS } from "../../core/lifecycle.ts";
import type { LogLine, TaskId } from "../../core/task.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { TaskRecord, TaskStore } from "../store.ts";
import { parseAddress } from "./address.ts";
import { type Connection, createConnection } from "./connection.ts";
import { createNodes } from "./nodes.ts";
import { createRestore } from "./restore.ts";
import { SCRIPTS } from "./scripts.ts";

const client = new RedisClient(sharedRedis());
afterAll(() => client.close());

let url: string;
let store: TaskStore;
let connection: Connection;

beforeEach(async () => {
  ({ url, store } = await openRedis(sharedRedis()));
  const link = { client: () => client, drop: () => undefined };
  connection = createConnection({
    link,
    clock: systemClock,
    whyAway: () => "",
    nodes: createNodes(parseAddress(url).url),
    prefix: parseAddress(url).prefix,
  });
});

afterEach(async () => {
  await store.close();
  await removeKeys(url);
});

const LINES: readonly LogLine[] = [1, 2, 3].map((n) => ({ n, at: n, level: "info", message: `line ${n}` }));

function record(id: TaskId, spec: Partial<TaskSpec> = {}, log = LINES): TaskRecord {
  const task = create({ name: `task ${id}`, payload: "[1]", ...spec }, TYPE_DEFAULTS, 1_000);
  return { task: { ...task, id }, log };
}

/** A restore without its last script; `meanwhile` runs in place of that script. */
async function interrupted(
  records: readonly TaskRecord[],
  meanwhile: () => Promise<unknown>,
): Promise<unknown> {
  const restore = createRestore({
    connection: {
      ...connection,
      run: async (script, args) => {
        if (script !== SCRIPTS.restore) return connection.run(script, args);
        await meanwhile();
        throw new Error("interrupted");
      },
    },
    sender: "s",
    notify: () => undefined,
  });
  return restore(records).catch((error: unknown) => error);
}

describe("a restore into Redis", () => {
  test("that is refused leaves nothing behind", async () => {
    await store.restore([record(1, { key: "k" })]);
    const before = await keysOf(url);
    const refused = await store
      .restore([record(2), record(3, { key: "k" })])
      .catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: "key_taken" });
    expect(await keysOf(url)).toEqual(before);
    await store.remove([{ id: 1 }]);
    expect(await keysOf(url)).toEqual(["changes", "house"]);
  });

  test("that is interrupted makes no task visible, and no other task gets any of its parts", async () => {
    const records = [record(1), record(2), record(7)];
    let made: TaskId | undefined;
    await interrupted(records, async () => {
      const drafts = [create({ name: "other" }, TYPE_DEFAULTS, 1_000)];
      const [answer] = await store.insert([{ drafts, idempotency: null }], 1_000);
      made = answer?.kind === "created" ? answer.tasks[0]?.id : undefined;
    });
    expect(made).toBe(8);
    expect(await store.get([1, 2, 7])).toEqual([null, null, null]);
    expect(await store.readLog(1, 0)).toEqual([]);
    expect(await store.count({})).toBe(1);
    expect((await store.get([8]))[0]).toMatchObject({ name: "other", payload: null });
  });

  test("that was interrupted begins from the start when it is repeated", async () => {
    await interrupted([record(1), record(2)], async () => undefined);
    const again = [record(1, { payload: null }, LINES.slice(1)), record(2, {}, [])];
    expect(await store.restore(again)).toBe(2);
    expect(await store.get([1, 2])).toEqual(again.map(({ task }) => task));
    expect(await store.readLog(1, 0)).toEqual(LINES.slice(1));
    expect(await store.readLog(2, 0)).toEqual([]);
  });

  test("of which the server has lost a part adds no task", async () => {
    const keys = ["bodies", "log:2"];
    for (const key of keys) {
      const restore = createRestore({
        connection: {
          ...connection,
          run: async (script, args) => {
            if (script === SCRIPTS.restore) await connection.sendTo("DEL", key);
            return connection.run(script, args);
          },
        },
        sender: "s",
        notify: () => undefined,
      });
      const lost = await restore([record(1), record(2)]).catch((error: unknown) => error);
      expect(lost).toMatchObject({ code: "store_unavailable" });
      expect(await keysOf(url)).toEqual(["house"]);
    }
  });
});
