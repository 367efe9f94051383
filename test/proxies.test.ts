/** TaskTrack behind the proxies of docs/proxies.md: one server, and each proxy started once for all cases. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createWorker } from "../src/client/client.ts";
import { LONGEST_WAIT_MS } from "../src/http/waits.ts";
import { BODY_BYTES } from "../src/wire/json-body.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createTestLog } from "./support/engine.ts";
import { openEvents } from "./support/events.ts";
import { eventually } from "./support/eventually.ts";
import { expectProblem } from "./support/problem.ts";
import { programAt } from "./support/programs.ts";
import { createRawClient, exchange, type RawClient, type RawRequest } from "./support/raw.ts";
import { PROXIES, type ProxyServer, SITE, startProxies } from "./support/servers/proxies.ts";
import { ask, create } from "./support/verbs.ts";

let server: RunningApp;
let proxies: readonly ProxyServer[] = [];

beforeAll(async () => {
  server = await startApp({ ROLE: "api", ALLOWED_HOSTS: SITE });
  proxies = await startProxies(server.url);
});
afterAll(async () => {
  await Promise.all(proxies.map((proxy) => proxy.remove()));
  await server.stop();
});

const proxyAt = (name: string): ProxyServer => {
  const proxy = proxies.find((one) => one.name === name);
  if (proxy === undefined) throw new Error(`${name} was not started`);
  return proxy;
};

/** A connection to the proxy whose requests have the Host of the site. */
function clientOf(name: string): RawClient {
  const client = createRawClient(proxyAt(name).url);
  return {
    ...client,
    send: (request) => client.send({ ...request, headers: [["Host", SITE], ...(request.headers ?? [])] }),
  };
}

const JSON_TYPE = ["Content-Type", "application/json"] as const;
const post = (target: string, body: unknown): RawRequest => ({
  ...{ method: "POST", target, headers: [JSON_TYPE], body: JSON.stringify(body) },
});

describe.each(PROXIES)("behind %s", (name) => {
  test("a task is created, read, listed, changed and deleted", async () => {
    const client = clientOf(name);
    const created = await client.send(post("/api/task", { name: "first" }));
    expect(created.status).toBe(201);
    const location = created.headers.get("location") ?? "";
    expect(location).toStartWith("/api/task/");
    const edit = { method: "PATCH", target: location, headers: [JSON_TYPE], body: '{"name":"second"}' };
    expect((await client.send(edit)).status).toBe(200);
    expect(await (await client.send({ target: location })).json()).toMatchObject({ name: "second" });
    expect(await (await client.send({ target: "/api/task" })).text()).toContain('"name":"second"');
    expect((await client.send({ method: "DELETE", target: location })).status).toBe(204);
    expect((await client.send({ target: location })).status).toBe(404);
    client.close();
  });

  test("a discarded body is never read as a request, and a request is never read as the rest of a body", async () => {
    const client = clientOf(name);
    const body = `GET /api/task HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(10_000);
    const refused = { body, headers: [["Content-Type", "text/html"]] as const };
    const rounds: readonly (readonly [RawRequest, number])[] = [
      [{ ...refused, method: "POST", target: "/api/task" }, 415],
      [{ ...refused, method: "POST", target: "/nothing", chunked: true }, 404],
      [{ ...refused, method: "PUT", target: "/api/task" }, 405],
      [{ ...refused, method: "DELETE", target: "/api/task/999999", chunked: true }, 404],
      [{ target: "/livez" }, 200],
    ];
    for (const [request, status] of [...rounds, ...rounds]) {
      const response = await client.send(request);
      expect([request.target, response.status]).toEqual([request.target, status]);
    }
    client.close();
  });

  test("a worker that stops holds no task", async () => {
    const type = `stopped-behind-${name}`;
    const worker = createWorker({
      ...{ url: proxyAt(name).url, headers: { host: SITE }, log: createTestLog(), lease: "60s" },
      handlers: { [type]: async () => null },
    });
    worker.start();
    const { engine } = server.app;
    const first = await create(engine, { type });
    await eventually(
      () => engine.get(first),
      ({ status }) => status === "done",
    );
    await eventually(
      () => engine.stats(),
      ({ workers }) => workers.some(({ name: known, free }) => known === worker.name && free > 0),
    );
    await worker.stop(0);
    const second = await create(engine, { type });
    await engine.claimNow(ask({ types: ["none"] })); // the second task was dispatched before this call
    expect(await engine.get(second)).toMatchObject({ status: "pending", attempts: [] });
  });

  test("a page of the site may create a task over plain http, a page of another site may not", async () => {
    const { url, bareUrl } = proxyAt(name);
    for (const way of [url, ...(bareUrl === null ? [] : [bareUrl])]) {
      const from = async (origin: string): Promise<Response> => {
        const { headers = [], ...request } = post("/api/task", { name: "from a page" });
        const browser = [["Host", SITE] as const, ["User-Agent", "Mozilla/5.0"] as const];
        return exchange(way, { ...request, headers: [...headers, ...browser, ["Origin", origin]] });
      };
      expect((await from(`http://${SITE}`)).status).toBe(201);
      const refused = await expectProblem(await from("http://other.test"), {
        status: 403,
        code: "forbidden_origin",
      });
      const host = way === bareUrl ? new URL(server.url).host : SITE;
      expect(refused.detail).toContain(`the Origin "http://other.test" is not that of the Host "${host}"`);
    }
  });

  test("the ETag of a compressed answer identifies the task's version", async () => {
    const client = clientOf(name);
    const created = await client.send(
      post("/api/task", { name: "first", description: "long ".repeat(1_000) }),
    );
    const target = created.headers.get("location") ?? "";
    const compressed = ["Accept-Encoding", "gzip"] as const;
    const { headers } = await client.send({ target, headers: [compressed] });
    if (name !== "squid") expect(headers.get("content-encoding")).toBe("gzip");
    const tag = headers.get("etag") ?? "";
    const again = await client.send({ target, headers: [compressed, ["If-None-Match", tag]] });
    expect([again.status, tag]).toEqual([304, tag]);
    const edit = (): RawRequest => ({
      ...{ method: "PATCH", target, body: '{"name":"second"}' },
      headers: [JSON_TYPE, ["If-Match", tag]],
    });
    expect((await client.send(edit())).status).toBe(200);
    expect((await client.send(edit())).status).toBe(412);
    client.close();
  });

  test("two event streams have a new task at once", async () => {
    const open = () => openEvents(proxyAt(name).url, { headers: { host: SITE } });
    const streams = [await open(), await open()];
    const [task] = (await server.app.engine.create([{ name }])).tasks;
    for (const stream of streams) {
      await stream.until(({ data }) => data.id === task?.id);
      stream.close();
    }
  });
});

/** Clients that read no answer before they have sent the whole body. They print each status on a line, or an error. */
const CLIENTS = [
  {
    program: "python3",
    flag: "-c",
    script: `
import sys, urllib.request
for url in sys.argv[3:]:
    headers = {"Content-Type": "application/json", "Host": sys.argv[1]}
    request = urllib.request.Request(url + "/api/task", b"a" * int(sys.argv[2]), headers)
    try:
        print(urllib.request.urlopen(request).status)
    except Exception as error:
        print(getattr(error, "code", repr(error)))
`,
  },
  {
    program: "node",
    flag: "-e",
    script: `
const [, site, length, ...urls] = process.argv;
// fetch sends the host of its URL as Host, even if another header is given
require("node:dns").lookup = (name, options, done) => done(null, [{ address: "127.0.0.1", family: 4 }]);
(async () => {
  for (const url of urls) {
    const headers = { "content-type": "application/json" };
    const target = url.replace("127.0.0.1", site) + "/api/task";
    const sent = fetch(target, { method: "POST", body: "a".repeat(length), headers });
    console.log(await sent.then(({ status }) => status, ({ cause }) => String(cause)));
  }
})();
`,
  },
] as const;

test.each(CLIENTS)("$program gets a 413 for a body that is too long", async ({ program, flag, script }) => {
  const urls = [server.url, ...proxies.map(({ url }) => url)];
  const command = [programAt(program), flag, script, SITE, String(8 * BODY_BYTES), ...urls];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  const lines = (await new Response(child.stdout).text()).trim().split("\n");
  const from = ["TaskTrack itself", ...proxies.map(({ name }) => name)];
  expect(from.map((name, n) => `${name}: ${lines[n]}`)).toEqual(from.map((name) => `${name}: 413`));
});

test("HAProxy waits longer for an answer than TaskTrack does for the end of a task", () => {
  const settings = readFileSync("/etc/haproxy/haproxy.cfg", "utf8");
  const timeouts = ["client", "server"].map((side) =>
    Number(new RegExp(`timeout ${side}\\s+(\\d+)$`, "m").exec(settings)?.[1]),
  );
  for (const timeoutMs of timeouts) expect(timeoutMs).toBeGreaterThan(LONGEST_WAIT_MS);
});
