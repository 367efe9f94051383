/** A server on a SQLite file is killed in the middle of its work, again and again: what it has answered is there after. */

import { Database } from "bun:sqlite";
import { afterAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "./support/eventually.ts";
import { createRandom } from "./support/random.ts";
import { killLeftovers, type ServerProcess, tasktrack } from "./support/server-process.ts";

const KILLS = 20;
const CLIENTS = 16;
/** From the start of the process to its first ready answer, on a machine that is busy with other tests. */
const READY_WITHIN_MS = 5_000;

const home = await mkdtemp(join(tmpdir(), "tasktrack-kill-"));
const path = join(home, "tasks.db");

afterAll(async () => {
  killLeftovers();
  await rm(home, { recursive: true });
});

const start = (): ServerProcess =>
  tasktrack(["serve"], {
    env: {
      HTTP_HOST: "127.0.0.1",
      HTTP_PORT: "0",
      STORE_URL: `sqlite:${path}`,
      // Short work, so that claims and settles are under way as well when the end comes.
      SIMULATE_MIN: "1ms",
      SIMULATE_MAX: "20ms",
      DISPATCH_INTERVAL: "0s",
      LEASE: "1s",
    },
  });

type Acknowledged = Map<number, string>; // id → name

test("a second server on the file is refused at once, in one line", async () => {
  const first = start();
  await first.url();
  const { code, stderr } = await start().ended;
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: `tasktrack: STORE_URL: ${path} is held by another process\n`,
  });
  first.kill("SIGKILL");
  await first.ended;
});

/** Creates tasks, each with a name of its own, until nobody answers any more. */
async function createUntilGone(url: string, prefix: string, acknowledged: Acknowledged): Promise<string[]> {
  const asked: string[] = [];
  for (;;) {
    const name = `${prefix}-${asked.length}`;
    asked.push(name);
    const id = await fetch(`${url}/api/task`, { method: "POST", body: JSON.stringify({ name }) })
      .then(async (response) => ((await response.json()) as { task_id: number }).task_id) // api.test.ts shows it
      .catch(() => null); // the connection broke: nobody knows
    if (id === null) return asked;
    if (acknowledged.has(id)) throw new Error(`id ${id} was given to ${acknowledged.get(id)} and to ${name}`);
    acknowledged.set(id, name);
  }
}

test("twenty kills under load lose no acknowledged task, double none, and leave the file whole", async () => {
  const random = createRandom(20_260_101);
  const acknowledged: Acknowledged = new Map();
  const asked = new Set<string>();
  let slowest = 0;

  for (let kill = 0; kill < KILLS; kill++) {
    const from = performance.now();
    const server = start();
    const url = await server.url();
    await eventually(
      () => fetch(`${url}/readyz`),
      ({ status }) => status === 200,
    );
    slowest = Math.max(slowest, performance.now() - from);

    const before = acknowledged.size;
    const clients = Array.from({ length: CLIENTS }, (_, n) =>
      createUntilGone(url, `kill ${kill}, client ${n}`, acknowledged),
    );
    const enough = before + 100 + Math.floor(random() * 400);
    await eventually(
      () => acknowledged.size,
      (size) => size >= enough,
    );
    server.kill("SIGKILL");
    for (const names of await Promise.all(clients)) for (const name of names) asked.add(name);
    await server.ended;
  }
  expect(slowest).toBeLessThan(READY_WITHIN_MS);

  using db = new Database(path);
  expect(db.query("PRAGMA integrity_check").values()).toEqual([["ok"]]);
  const stored = db.query<{ id: number; name: string }, []>("SELECT id, name FROM task").all();
  const byId = new Map(stored.map(({ id, name }) => [id, name]));
  const lost = [...acknowledged].filter(([id, name]) => byId.get(id) !== name);
  expect(lost).toEqual([]);
  expect(new Set(byId.values()).size).toBe(stored.length); // none is there twice
  expect(stored.filter(({ name }) => !asked.has(name))).toEqual([]); // nor made up

  // Whatever a kill has left running is found by the next sweeps and comes to its end.
  db.close();
  const server = start();
  const url = await server.url();
  const unfinished = async (): Promise<number> => {
    const answers = ["pending", "running"].map(
      async (status) =>
        ((await (await fetch(`${url}/api/task?status=${status}&limit=1`)).json()) as unknown[]).length,
    );
    return (await Promise.all(answers)).reduce((sum, count) => sum + count, 0);
  };
  await eventually(unfinished, (count) => count === 0, 15_000);
  server.kill("SIGTERM");
  expect((await server.ended).code).toBe(0);
}, 60_000);
