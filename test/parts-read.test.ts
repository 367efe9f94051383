/**
 * Operations that only examine tasks or change their status transfer no payloads: of 500 tasks with 20 KB each, every operation
 * below reads less than a tenth of the payloads. For PostgreSQL and Redis the bytes of the connection are counted. For SQLite the
 * answers of the store are counted as JSON text, as its thread sends them.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "../src/engine/engine.ts";
import { systemClock } from "../src/lib/system-clock.ts";
import type { Beat, TaskStore } from "../src/store/store.ts";
import { readTasks } from "../src/store/suite/examinee.ts";
import { createManualClock } from "./support/clock.ts";
import { openEngine } from "./support/engine.ts";
import { eventually } from "./support/eventually.ts";
import { type Gate, openGate } from "./support/gate.ts";
import { type HttpServer, openHttpServer } from "./support/http-server.ts";
import { sharedPostgres, sharedRedis } from "./support/servers/shared.ts";
import { openTestStore, uniqueName } from "./support/stores.ts";

const COUNT = 500;
const PAYLOAD = JSON.stringify("x".repeat(20_000));
const PAYLOADS = COUNT * PAYLOAD.length;

type Counted = {
  readonly store: TaskStore;
  readonly received: () => number;
  readonly close: () => Promise<void>;
};

/** The store with a proxy that counts the bytes from the server. */
async function behindGate(url: string, more: string): Promise<Counted> {
  const to = new URL(url);
  const gate: Gate = await openGate(Number(to.port));
  to.hostname = "127.0.0.1";
  to.port = String(gate.port);
  const store = await openTestStore(`${to.href}${more}`);
  return {
    store,
    received: gate.received,
    close: async () => {
      await store.close();
      gate.close();
    },
  };
}

/** The SQLite store. Its answers are counted as JSON text, as they come from its thread. */
async function inThread(): Promise<Counted> {
  const folder = await mkdtemp(join(tmpdir(), "tasktrack-parts-"));
  const store = await openTestStore(`sqlite:${join(folder, "tasks.db")}`);
  let received = 0;
  const counted = <Answer>(answer: Answer): Answer => {
    received += JSON.stringify(answer).length;
    return answer;
  };
  return {
    store: {
      ...store,
      get: async (ids, parts) => counted(await store.get(ids, parts)),
      list: async (query) => counted(await store.list(query)),
      readDocuments: async (...args) => counted(await store.readDocuments(...args)),
    },
    received: () => received,
    close: async () => {
      await store.close();
      await rm(folder, { recursive: true });
    },
  };
}

const STORES: Readonly<Record<string, () => Promise<Counted>>> = {
  SQLite: inThread,
  PostgreSQL: () => behindGate(sharedPostgres(), `?schema=${uniqueName("parts")}`),
  Redis: () => behindGate(sharedRedis(), `?prefix=${uniqueName("parts")}`),
};

for (const [name, open] of Object.entries(STORES)) {
  describe(`with 500 tasks of 20 KB on ${name}`, () => {
    let counted: Counted;
    let engine: Engine;
    let httpServer: HttpServer;
    let beats: Beat[] = [];

    beforeAll(async () => {
      counted = await open();
      ({ engine } = openEngine({
        store: counted.store,
        clock: { ...createManualClock(), ...systemClock }, // which no test moves
      }));
      httpServer = openHttpServer(engine);
      const spec = { name: "a task", type: "work", payload: PAYLOAD, tags: ["nightly"] };
      for (let made = 0; made < COUNT; made += 50) await engine.create(Array(50).fill(spec));
      beats = await claimAll(Number.MAX_SAFE_INTEGER);
    });
    afterAll(async () => {
      await httpServer.close();
      await engine.close();
      await counted.close();
    });

    /** Claims every task for another process; the leases end after this number of milliseconds. */
    async function claimAll(leaseMs: number): Promise<Beat[]> {
      const claimed: Beat[] = [];
      const now = await counted.store.now();
      while (claimed.length < COUNT) {
        const asks = [
          { worker: "elsewhere", types: ["*"], max: COUNT, leaseMs: Math.min(leaseMs, 3_600_000) },
        ];
        const tasks = (await counted.store.claim(asks, { now, nonce: "n" })).flat();
        expect(tasks.length).toBeGreaterThan(0);
        claimed.push(...tasks.map(({ id, token }) => ({ id, token, progress: null, log: [] })));
      }
      return claimed;
    }

    /** Runs the operation. It must read some bytes of each task, but no payloads. */
    async function expectLittle(operation: () => Promise<unknown>): Promise<void> {
      const before = counted.received();
      await operation();
      const bytes = counted.received() - before;
      expect(bytes).toBeGreaterThan(COUNT * 10);
      expect(bytes).toBeLessThan(PAYLOADS / 10);
    }

    const fetchJson = async (path: string, init?: RequestInit): Promise<unknown> => {
      const response = await fetch(`${httpServer.url}${path}`, init);
      expect(response.status).toBe(200);
      return response.json();
    };

    const bulk = (action: string, more: object = {}): Promise<unknown> =>
      fetchJson("/api/task/bulk", {
        method: "POST",
        body: JSON.stringify({ filter: {}, all: true, action, ...more }),
      });

    test("a read of whole tasks transfers all payloads, as a reference for the other reads", async () => {
      const before = counted.received();
      const tasks = await readTasks(
        counted.store,
        beats.map(({ id }) => id),
      );
      expect(tasks.every((task) => task?.payload === PAYLOAD)).toBe(true);
      expect(counted.received() - before).toBeGreaterThan(PAYLOADS);
    });

    test("heartbeats that another process must read", () =>
      expectLittle(async () => {
        expect(await engine.leaseMs(beats)).toEqual(beats.map(() => 3_600_000));
        expect(await engine.extend(beats)).toEqual(beats.map(() => "ok" as const));
      }));

    test("statistics", () =>
      expectLittle(async () => {
        const stats = (await fetchJson("/api/stats")) as { tags: unknown; counts: { running: number } };
        expect(stats.counts.running).toBe(COUNT);
        expect(stats.tags).toEqual([{ tag: "nightly", count: COUNT }]);
      }));

    test("lists with view=state, and lists without a view", async () => {
      for (const query of ["?view=state&limit=1000", "?limit=1000", "", "?view=state"]) {
        await expectLittle(async () => expect(await fetchJson(`/api/task${query}`)).toHaveLength(COUNT));
      }
    });

    test("tasks that event streams and the publisher read", async () => {
      const ids = beats.map(({ id }) => id);
      await expectLittle(async () => expect((await engine.readMany(ids, "light")).size).toBe(COUNT));
      await expectLittle(async () => expect((await engine.readMany(ids, "head")).size).toBe(COUNT));
    });

    test("outcomes that reach another process", () =>
      expectLittle(async () => {
        const outcome = { kind: "released", delayMs: 0 } as const;
        await Promise.all(beats.map(({ id, token }) => engine.settle(id, token, outcome)));
      }));

    test("the sweep", async () => {
      await claimAll(1);
      await expectLittle(async () => {
        let expired = 0;
        await eventually(
          async () => {
            expired += (await engine.sweep()).expired;
            return expired;
          },
          (count) => count >= COUNT,
        );
      });
    });

    test("bulk actions", async () => {
      await expectLittle(async () =>
        expect(await bulk("cancel", { dry_run: true })).toMatchObject({ count: COUNT }),
      );
      await expectLittle(async () => expect(await bulk("cancel")).toMatchObject({ count: COUNT }));
      await expectLittle(async () => expect(await bulk("retry")).toMatchObject({ count: COUNT }));
      const [first] = await counted.store.get([1]);
      expect(first).toMatchObject({ status: "pending", payload: PAYLOAD });
      await expectLittle(async () => expect(await bulk("delete")).toMatchObject({ count: COUNT }));
    });

    test("the deletion of old tasks", async () => {
      const { engine: keeper } = openEngine({
        store: counted.store,
        clock: { ...createManualClock(), ...systemClock },
        retentions: [{ statuses: ["cancelled"], keepMs: 1 }],
      });
      const spec = { name: "a task", type: "work", payload: PAYLOAD, delayMs: 3_600_000 };
      await engine.create(Array(50).fill(spec));
      await bulk("cancel");
      const before = counted.received();
      let removed = 0;
      await eventually(
        async () => {
          removed += (await keeper.sweep()).removed;
          return removed;
        },
        (count) => count >= 50,
      );
      expect(counted.received() - before).toBeLessThan((50 * PAYLOAD.length) / 10);
      await keeper.close();
    });
  });
}
