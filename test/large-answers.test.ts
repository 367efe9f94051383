/** An answer ends at about 8 MiB, and the remaining tasks come in later answers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type RunningApp, startApp } from "./support/app.ts";
import { sharedPostgres, sharedRedis } from "./support/servers/shared.ts";
import { uniqueName } from "./support/stores.ts";

const COUNT = 40;
const PAYLOAD = "x".repeat(700_000);
const IDS = Array.from({ length: COUNT }, (_, n) => n + 1);
/** An answer that has reached half of the store's limit may get one more page of the store. */
const MOST_BYTES = 13 * 1_048_576;

const STORES: Readonly<Record<string, (folder: string) => string>> = {
  memory: () => "memory:",
  SQLite: (folder) => `sqlite:${join(folder, "tasks.db")}`,
  PostgreSQL: () => `${sharedPostgres()}?schema=${uniqueName("large")}`,
  Redis: () => `${sharedRedis()}?prefix=${uniqueName("large")}`,
};

type Whole = { readonly id: number; readonly payload: string };

for (const [name, urlIn] of Object.entries(STORES)) {
  describe(`with 40 tasks of 700 KB on ${name}`, () => {
    let folder: string;
    let server: RunningApp;

    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "tasktrack-large-"));
      server = await startApp({ STORE_URL: urlIn(folder), ROLE: "api" });
      const spec = { name: "large", type: "work", payload: JSON.stringify(PAYLOAD) };
      for (let made = 0; made < COUNT; made++) await server.app.engine.create([spec]);
    });
    afterAll(async () => {
      await server.stop();
      await rm(folder, { recursive: true });
    });

    const ask = async (path: string, body?: object): Promise<{ text: string; link: string | null }> => {
      const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
      const response = await fetch(`${server.url}${path}`, init);
      expect(response.status).toBe(200);
      const text = await response.text();
      expect(text.length).toBeLessThan(MOST_BYTES);
      return { text, link: response.headers.get("link") };
    };

    test("pages of whole tasks are linked until each task was returned once", async () => {
      const shown: Whole[] = [];
      let path: string | undefined = "/api/task?view=full&limit=1000";
      while (path !== undefined) {
        const { text, link } = await ask(path);
        const tasks = JSON.parse(text) as Whole[];
        expect(tasks.length).toBeGreaterThan(0);
        shown.push(...tasks);
        path = link?.match(/<(.*)>; rel="next"/)?.[1];
      }
      expect(shown.map(({ id }) => id)).toEqual(IDS);
      expect(shown.every(({ payload }) => payload === PAYLOAD)).toBe(true);
    });

    test("a list without a limit has all tasks", async () => {
      const response = await fetch(`${server.url}/api/task?view=full`);
      const tasks = (await response.json()) as Whole[];
      expect(tasks.map(({ id }) => id)).toEqual(IDS);
      expect(tasks.every(({ payload }) => payload === PAYLOAD)).toBe(true);
    });

    test("claims return fewer tasks than requested until all are claimed, and a repeated claim returns the same", async () => {
      const claimed: number[] = [];
      for (let n = 0; claimed.length < COUNT; n++) {
        const body = { worker: "w", types: ["work"], max: 1_000, request: `request ${n}` };
        const [first, second] = [await ask("/api/worker/claim", body), await ask("/api/worker/claim", body)];
        const idsOf = ({ text }: { readonly text: string }): number[] =>
          (JSON.parse(text) as { tasks: Whole[] }).tasks.map(({ id }) => id);
        expect(idsOf(first).length).toBeGreaterThan(0);
        expect(idsOf(second)).toEqual(idsOf(first));
        claimed.push(...idsOf(first));
      }
      // Tasks are claimed in the order of their due times, which differ from the order of the ids where the clock was corrected meanwhile.
      expect(claimed.toSorted((a, b) => a - b)).toEqual(IDS);
    });
  });
}
