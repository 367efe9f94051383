import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { settled } from "../../../test/support/clock.ts";
import { eventually } from "../../../test/support/eventually.ts";
import {
  add,
  claim,
  codeOf,
  command,
  HASTY,
  NOW,
  openRedis,
  watched,
  works,
} from "../../../test/support/redis.ts";
import { createRedis, type RedisServer } from "../../../test/support/servers/redis.ts";
import { settle } from "../../core/lifecycle.ts";
import type { TaskStore } from "../store.ts";
import { DEADLINE_MS } from "./link.ts";

/** Turns of the event loop do not depend on the time, so this does not wait for a deadline. */
async function turns(count: number): Promise<string> {
  for (let turn = 0; turn < count; turn++) await settled();
  return `no answer within ${count} turns`;
}

let server: RedisServer;

async function restart(): Promise<void> {
  await server.signal("SIGKILL");
  await server.start();
}

/** Opens a store and a second one on the same tasks; both are closed at the end. */
async function withStores(body: (store: TaskStore, peer: TaskStore) => Promise<void>): Promise<void> {
  const { url, store } = await openRedis(server.url, HASTY);
  const { store: peer } = await openRedis(url, HASTY);
  try {
    await body(store, peer);
  } finally {
    await Promise.all([store.close(), peer.close()]);
  }
}

beforeAll(async () => {
  server = await createRedis();
  await server.start();
});

afterAll(() => server.remove());

describe("a server that is killed", () => {
  test("is unavailable in every call, and the store works again by itself when it is back", async () => {
    await withStores(async (store) => {
      const [id, other] = [await add(store), await add(store)];
      await server.signal("SIGKILL");
      const calls = [
        add(store),
        store.get([id]),
        store.list({ filter: {}, sort: "id", after: null, limit: 1 }),
        store.count({}),
        claim(store),
        store.extend([{ id, token: "t", progress: null, log: [] }], NOW),
        store.remove([{ id: other }]), // the server may still have done it
        store.readLog(id, 0),
        store.changes(null, 1),
        store.now(),
      ];
      expect(new Set(await Promise.all(calls.map(codeOf)))).toEqual(new Set(["store_unavailable"]));
      await server.start();
      await works(store);
      expect((await store.get([id]))[0]?.id).toBe(id);
    });
  });

  test("notifies watchers when it is back, and then again of the commits of other processes", async () => {
    await withStores(async (store, peer) => {
      const notified = await watched(store);
      await restart();
      await eventually(() => notified.includes(null), Boolean);
      await works(peer);
      // The subscription may come back after the other connection; until then nothing arrives, and then a null.
      await eventually(async () => {
        await add(peer, { type: "job" });
        return notified.some((due) => due?.includes("job"));
      }, Boolean);
    });
  });

  test("makes all positions of the change log `gone`, because it may have lost changes before them", async () => {
    await withStores(async (store) => {
      await add(store);
      const { position } = await store.changes(null, 1);
      await restart();
      await works(store);
      expect((await store.changes(position, 10)).kind).toBe("gone");
    });
  });

  test("and has lost answered writes gives no id a second time, and hides no change", async () => {
    const losing = await createRedis({ appendonly: "no", save: "3600 1000000" });
    await losing.start();
    try {
      const { store } = await openRedis(losing.url, HASTY);
      await add(store);
      await command(losing, "SAVE");
      const lost = [await add(store), await add(store)];
      const { position } = await store.changes(null, 1);
      await losing.signal("SIGKILL");
      await losing.start();
      await works(store);
      for (let n = 0; n < 5; n++) expect(await add(store)).toBeGreaterThan(Math.max(...lost));
      expect((await store.changes(position, 10)).kind).toBe("gone");
      expect(await store.get(lost)).toEqual([null, null]);
      await store.close();
    } finally {
      await losing.remove();
    }
  });
});

describe("a server that does not answer", () => {
  test("is unavailable within the deadline, at once after it, and works again when it is resumed", async () => {
    await withStores(async (store) => {
      const id = await add(store);
      await server.signal("SIGSTOP");
      const startedAt = performance.now();
      const calls = [add(store), store.get([id]), store.now()].map(codeOf);
      expect(await Promise.all(calls)).toEqual([
        "store_unavailable",
        "store_unavailable",
        "store_unavailable",
      ]);
      const waitedMs = performance.now() - startedAt;
      expect(waitedMs).toBeGreaterThan(DEADLINE_MS * 0.9);
      const again = codeOf(store.now());
      expect(await Promise.race([again, turns(5)])).toBe("store_unavailable");
      await server.signal("SIGCONT");
      await works(store);
    });
  });

  test("has at most ten thousand waiting calls", async () => {
    await withStores(async (store) => {
      await server.signal("SIGSTOP");
      const calls = Array.from({ length: 10_100 }, () => codeOf(store.now()));
      const codes = await Promise.all(calls);
      await server.signal("SIGCONT");
      expect(codes.filter((code) => code === "overloaded").length).toBe(100);
      expect(codes.filter((code) => code === "store_unavailable").length).toBe(10_000);
      await works(store);
    });
  });
});

describe("connections that the server closes", () => {
  test("are opened again, for writes and for watchers", async () => {
    await withStores(async (store, peer) => {
      const notified = await watched(store);
      for (const type of ["normal", "pubsub"])
        await command(server, "CLIENT", "KILL", "TYPE", type, "SKIPME", "yes");
      await works(store);
      await works(peer);
      await eventually(() => notified.includes(null), Boolean);
      await eventually(async () => {
        await add(peer, { type: "job" });
        return notified.some((due) => due?.includes("job"));
      }, Boolean);
    });
  });
});

describe("a server that", () => {
  test("has lost the scripts gets them again", async () => {
    await withStores(async (store) => {
      const id = await add(store);
      await command(server, "SCRIPT", "FLUSH");
      expect(await add(store)).toBe(id + 1);
      expect((await store.get([id]))[0]?.id).toBe(id);
    });
  });

  test("has been emptied begins again with a new epoch", async () => {
    await withStores(async (store) => {
      await add(store);
      const { position } = await store.changes(null, 1);
      await command(server, "FLUSHALL");
      expect(await add(store)).toBe(1);
      const page = await store.changes(position, 10);
      expect(page.kind).toBe("gone");
      expect(page.position.epoch).not.toBe(position.epoch);
      expect((await store.changes(page.position, 10)).kind).toBe("changes");
    });
  });

  test("is full refuses new tasks with proof, and lets running tasks end", async () => {
    await withStores(async (store) => {
      const id = await add(store, { type: "job" });
      await command(server, "CONFIG", "SET", "maxmemory", "1mb");
      try {
        expect(await codeOf(add(store))).toBe("store_rejected");
        expect(await store.count({})).toBe(1);
        const running = await claim(store);
        expect(running.id).toBe(id);
        expect(await store.extend([{ id, token: running.token, progress: null, log: [] }], NOW)).toEqual([
          "ok",
        ]);
        const [extended] = await store.get([id]);
        if (extended?.status !== "running") throw new Error("expected the task to run");
        const report = { token: running.token, outcome: { kind: "done", result: null } } as const;
        expect(await store.replace([{ from: extended, to: settle(extended, report, NOW + 1, 0) }])).toEqual([
          "ok",
        ]);
        expect(await store.remove([{ id }])).toEqual([true]);
      } finally {
        await command(server, "CONFIG", "SET", "maxmemory", "0");
      }
      expect(await codeOf(add(store))).toBe("ok");
    });
  });
});
