/** Lists, tasks and logs are compressed for clients that accept it. The decompressed text is the same. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { gunzipSync } from "node:zlib";
import { type Client, createClient } from "../src/client/client.ts";
import type { Engine } from "../src/engine/engine.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { eventually } from "./support/eventually.ts";
import { openHttpServer } from "./support/http-server.ts";
import { createRawClient } from "./support/raw.ts";
import { pendingTask } from "./support/tasks.ts";

let app: RunningApp;
let client: Client;
let large: number;

beforeAll(async () => {
  app = await startApp({ ROLE: "api" });
  client = createClient(app.url);
  await client.createMany(Array.from({ length: 1_000 }, (_, n) => ({ name: `task ${n}`, type: "many" })));
  await client.createMany(Array.from({ length: 1_000 }, (_, n) => ({ name: `task ${n}`, type: "many" })));
  large = (await client.create({ name: "large", type: "other", payload: { text: "é".repeat(50_000) } })).id;
});
afterAll(() => app.stop());

/** The body as it was sent; `decompress` is an option of Bun. */
const ask = (path: string, accept: string): Promise<Response> =>
  fetch(app.url + path, { headers: { "accept-encoding": accept }, decompress: false } as RequestInit);

describe.each([
  ["a page of a list", () => "/api/task?limit=50&type=many"],
  ["a list that is sent while it is read", () => "/api/task?type=many"],
  ["a long task", () => `/api/task/${large}`],
  ["the OpenAPI document", () => "/openapi.json"],
])("%s", (_, path) => {
  test("is compressed for a client that accepts gzip, and is the same text", async () => {
    const zipped = await ask(path(), "gzip, deflate, br");
    const plain = await ask(path(), "identity");
    expect(zipped.headers.get("content-encoding")).toBe("gzip");
    for (const header of ["content-type", "etag", "link"])
      expect(zipped.headers.get(header)).toBe(plain.headers.get(header));
    for (const { headers } of [zipped, plain]) expect(headers.get("vary")).toBe("accept-encoding");
    const text = await plain.text();
    const bytes = new Uint8Array(await zipped.arrayBuffer());
    expect(bytes.length).toBeLessThan(text.length / 4);
    expect(gunzipSync(bytes).toString()).toBe(text);
  });

  test.each(["identity", "br", "gzip;q=0", "deflate, gzip;q=0.0", ""])(
    "is sent uncompressed for a client that accepts %p",
    async (accept) => {
      const response = await ask(path(), accept);
      expect(response.headers.get("content-encoding")).toBeNull();
      expect(await response.json()).toBeTruthy();
    },
  );
});

test("a task of less than 1 KiB is sent uncompressed", async () => {
  const response = await ask("/api/task/1", "gzip");
  expect(response.headers.get("content-encoding")).toBeNull();
  expect(response.headers.get("vary")).toBeNull();
});

test("HEAD answers as GET, without the body", async () => {
  const init = { method: "HEAD", headers: { "accept-encoding": "gzip" } };
  const response = await fetch(`${app.url}/api/task?limit=50`, init);
  expect(response.headers.get("content-encoding")).toBe("gzip");
  expect(await response.text()).toBe("");
});

test("a client without Accept-Encoding gets an uncompressed answer", async () => {
  const raw = createRawClient(app.url);
  const response = await raw.send({ target: "/api/task?limit=50" });
  expect(response.headers.get("content-encoding")).toBeNull();
  expect(await response.json()).toHaveLength(50);
  raw.close();
});

test("the client of the SDK reads a compressed list", async () => {
  expect((await client.page({ type: "many", limit: 1_000 })).tasks).toHaveLength(1_000);
});

/** An engine with an endless list, which may fail. `asked` is the number of requested pages. */
function endlessList({ failsAt = Number.POSITIVE_INFINITY } = {}) {
  const state = { asked: 0 };
  const page = async () => {
    if (++state.asked >= failsAt) throw new Error("the store broke");
    const task = pendingTask({ id: state.asked, name: crypto.randomUUID(), description: randomText() });
    return { tasks: Array.from({ length: 100 }, () => task), next: { id: state.asked, at: null } };
  };
  const engine = { list: page, now: () => 0 } as unknown as Engine; // no other method is called
  return { engine, asked: () => state.asked };
}

/** A text that can hardly be compressed. */
const randomText = (): string => crypto.getRandomValues(Buffer.alloc(5_000)).toString("base64");

describe.each(["gzip", "identity"])("a list that is sent by %s while it is read", (accept) => {
  test("is not read from the store while the client does not read, or after it has disconnected", async () => {
    const { engine, asked } = endlessList();
    const httpServer = openHttpServer(engine);
    const abort = new AbortController();
    const headers = { "accept-encoding": accept };
    const response = await fetch(`${httpServer.url}/api/task`, { headers, signal: abort.signal });
    expect(response.status).toBe(200);
    const reader = response.body?.getReader();
    await reader?.read();
    await untilConstant(asked);
    abort.abort();
    await reader?.read().catch(() => undefined);
    const left = await untilConstant(asked);
    expect(left).toBeLessThan(1_000);
    await httpServer.close();
  });

  test("is cut off, not ended, when the store fails in the middle", async () => {
    const { engine } = endlessList({ failsAt: 3 });
    const httpServer = openHttpServer(engine);
    const headers = { "accept-encoding": accept };
    const response = await fetch(`${httpServer.url}/api/task`, { headers });
    expect(await response.text().catch(() => "cut")).toBe("cut");
    expect(httpServer.lines.join()).toContain("list_cut");
    await httpServer.close();
  });
});

/** The value of a counter after it has not changed for a tenth of a second. */
const untilConstant = async (count: () => number): Promise<number> => {
  let before = -1;
  return eventually(
    async () => {
      const isConstant = count() === before;
      before = count();
      if (!isConstant) await Bun.sleep(100);
      return isConstant ? before : -1;
    },
    (value) => value >= 0,
  );
};
