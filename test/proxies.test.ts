/** TaskTrack behind the proxies of docs/proxies.md: one server, and each proxy started once for all cases. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type RunningApp, startApp } from "./support/app.ts";
import { openEvents } from "./support/events.ts";
import { createRawClient, type RawClient, type RawRequest } from "./support/raw.ts";
import { PROXIES, type ProxyServer, SITE, startProxies } from "./support/servers/proxies.ts";

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

/** A connection to the proxy whose requests name the site. */
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

  test("two event streams tell of a task at once", async () => {
    const open = () => openEvents(proxyAt(name).url, { headers: { host: SITE } });
    const streams = [await open(), await open()];
    const [task] = (await server.app.engine.create([{ name }])).tasks;
    for (const stream of streams) {
      await stream.until(({ data }) => data.id === task?.id);
      stream.close();
    }
  });
});
