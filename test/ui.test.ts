/** How the files of the web UI are served. test/web tests the pages themselves. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { brotliDecompressSync, gunzipSync } from "node:zlib";
import type { Engine } from "../src/engine/engine.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { openHttpServer } from "./support/http-server.ts";
import { expectProblem } from "./support/problem.ts";

let app: RunningApp;
beforeAll(async () => {
  app = await startApp();
});
afterAll(() => app.stop());

const HTML = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

/** The body as it was sent; `decompress` is an option of Bun. */
const ask = (path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Response> =>
  fetch(app.url + path, { headers, method, decompress: false } as RequestInit);

async function assetPath(ending: string): Promise<string> {
  const page = await (await ask("/", { ...HTML, "accept-encoding": "identity" })).text();
  return new RegExp(`/assets/[\\w-]+\\.${ending}`).exec(page)?.[0] ?? `no ${ending} in ${page}`;
}

describe("pages", () => {
  test.each(["/", "/tasks", "/tasks/7", "/new", "/overview", "/tasks?status=failed"])(
    "a browser that opens %s gets the document of the UI",
    async (path) => {
      const response = await ask(path, HTML);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe("text/html; charset=utf-8");
      expect(response.headers.get("cache-control")).toBe("no-cache");
    },
  );

  test("a document may load its own files and nothing else", async () => {
    const { headers } = await ask("/", HTML);
    expect(headers.get("content-security-policy")).toBe(
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    );
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("referrer-policy")).toBe("same-origin");
  });

  test("a document has no inline script and no inline style", async () => {
    const page = await (await ask("/", { ...HTML, "accept-encoding": "identity" })).text();
    expect(page).not.toMatch(/<style|style=|\son\w+=|<script(?![^>]*\bsrc=)/);
  });

  test.each(["*/*", "application/json"])(
    "a client that accepts %s gets the addresses at /",
    async (accept) => {
      const response = await ask("/", { accept });
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "application/json"]);
      expect(response.headers.get("vary")).toContain("accept");
      const home = (await response.json()) as Readonly<Record<string, string>>;
      expect(home).toMatchObject({
        name: "TaskTrack",
        tasks: "/api/task",
        openapi: "/openapi.json",
        ui: "/tasks",
      });
      for (const path of [home.tasks, home.stats, home.openapi, home.alive, home.ready])
        expect(`${path}: ${(await ask(path ?? "")).status}`).toBe(`${path}: 200`);
      expect((await ask(home.ui ?? "", HTML)).status).toBe(200);
    },
  );

  test("a client that does not accept HTML gets no other page, and gets the address of the API", async () => {
    const problem = await expectProblem(await ask("/tasks/7", {}), { status: 404, code: "unknown_route" });
    expect(problem.detail).toContain("/api/task");
  });

  test.each(["/nothing", "/<script>alert(1)</script>"])(
    "%s is an error page in a browser, and JSON for other clients",
    async (path) => {
      const page = await ask(path, HTML);
      expect([page.status, page.headers.get("content-type")]).toEqual([404, "text/html; charset=utf-8"]);
      expect(page.headers.get("content-security-policy")).toStartWith(
        "default-src 'none'; style-src 'sha256-",
      );
      const text = await page.text();
      expect(text).toContain("There is nothing at");
      expect(text).toContain(`Request ${page.headers.get("x-request-id")}`);
      expect(text).not.toContain("<script");
      await expectProblem(await ask(path), { status: 404, code: "unknown_route" });
    },
  );

  test.each(["/api/nothing", "/api/task/999", "/api/task/x"])(
    "%s is refused with JSON in a browser, too",
    async (path) => {
      const response = await ask(path, HTML);
      expect(response.headers.get("content-type")).toBe("application/problem+json");
    },
  );

  test("a page accepts no other method", async () => {
    const response = await ask("/tasks", HTML, "POST");
    expect(response.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
    await expectProblem(response, { status: 405, code: "method_not_allowed" });
  });

  test("HEAD answers as GET, without the body", async () => {
    const response = await ask("/tasks", HTML, "HEAD");
    expect(response.status).toBe(200);
    expect(response.headers.get("etag")).toBe((await ask("/tasks", HTML)).headers.get("etag"));
    expect(await response.text()).toBe("");
  });

  test("a document that has not changed is not sent again", async () => {
    const etag = (await ask("/", HTML)).headers.get("etag") ?? "";
    const again = await ask("/", { ...HTML, "if-none-match": etag });
    expect([again.status, await again.text()]).toEqual([304, ""]);
  });

  test("a request under a foreign host name gets no page", async () => {
    const response = await ask("/", { ...HTML, host: "evil.example", "user-agent": "Mozilla/5.0" });
    expect([response.status, response.headers.get("content-type")]).toEqual([
      403,
      "text/html; charset=utf-8",
    ]);
    expect(await response.text()).toContain("ALLOWED_HOSTS");
  });
});

describe("assets", () => {
  test("an asset may be cached without limit", async () => {
    const response = await ask(await assetPath("js"));
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
    expect(response.headers.get("content-type")).toBe("text/javascript; charset=utf-8");
  });

  const encodings: readonly [
    accept: string,
    encoding: string | null,
    decode: (bytes: Uint8Array) => Uint8Array,
  ][] = [
    ["gzip, deflate, br, zstd", "br", brotliDecompressSync],
    ["gzip, deflate", "gzip", gunzipSync],
    ["br;q=0, gzip;q=0.5", "gzip", gunzipSync],
    ["identity", null, (bytes) => bytes],
  ];
  test.each(encodings)(
    "a client that accepts %p gets %p, and the same content",
    async (accept, encoding, decode) => {
      const path = await assetPath("css");
      const response = await ask(path, { "accept-encoding": accept });
      expect(response.headers.get("content-encoding")).toBe(encoding);
      expect(response.headers.get("vary")).toBe("accept-encoding");
      const plain = await (await ask(path, { "accept-encoding": "identity" })).text();
      expect(new TextDecoder().decode(decode(new Uint8Array(await response.arrayBuffer())))).toBe(plain);
    },
  );

  test("a missing asset is a JSON 404", async () => {
    await expectProblem(await ask("/assets/main-00000000.js"), { status: 404, code: "unknown_route" });
    await expectProblem(await ask("/assets/..%2fpackage.json"), { status: 404, code: "unknown_route" });
  });
});

test("a UI that cannot be built is a 503 with the reason, and is built again at the next request", async () => {
  const files = new Map();
  let calls = 0;
  const uiFiles = async () => {
    if (++calls === 1) throw new Error("no disk");
    return files;
  };
  const httpServer = openHttpServer({} as Engine, { uiFiles }); // no method is called
  const goTo = (): Promise<Response> => fetch(httpServer.url, { headers: HTML });
  const failed = await goTo();
  expect([failed.status, failed.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await failed.text()).toContain("The web UI cannot be shown");
  expect(httpServer.lines.join()).toContain("no disk");
  expect((await goTo()).status).toBe(404);
  await httpServer.close();
});
