/** `http()` with real servers on loopback. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server,
  type Socket,
} from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createManualClock } from "../../test/support/clock.ts";
import { eventually } from "../../test/support/eventually.ts";
import { runOnce } from "../../test/support/handling.ts";
import { NOON } from "../../test/support/tasks.ts";
import type { Outcome } from "../core/outcome.ts";
import { createHttp, type HttpOptions, http, httpWorld } from "./http.ts";

const MIB = 1_048_576;
const LOOPBACK: HttpOptions = { allowPrivate: ["127.0.0.1"] };

const open: { close(): void }[] = [];
afterEach(() => {
  for (const server of open.splice(0)) server.close();
});

/** Starts a server, and counts all its connections and the open ones. */
async function listen<S extends Server>(server: S, host = "127.0.0.1", at = 0) {
  const sockets = new Set<Socket>();
  let connections = 0;
  server.on("connection", (socket: Socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => undefined).on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(at, host, resolve));
  open.push({
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  });
  // A server that listens on a port has an address of this kind.
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://${host}:${port}`,
    sockets,
    get connections() {
      return connections;
    },
  };
}

/** More connections than fit into a server's queue of unaccepted connections, 512 by default. */
const WAITING = 600;

/** The port of a server that accepts no connection: it is frozen, and its queue is full. */
async function listenInVain(): Promise<number> {
  const script = `require("node:net").createServer().listen(0, "127.0.0.1", function () { console.log(this.address().port); })`;
  const child = Bun.spawn([process.execPath, "--no-env-file", "-e", script], { stdout: "pipe" });
  const { value } = await child.stdout.getReader().read();
  const port = Number(new TextDecoder().decode(value));
  child.kill("SIGSTOP");
  let connected = 0;
  const sockets = Array.from({ length: WAITING }, () =>
    connect({ host: "127.0.0.1", port }, () => connected++).on("error", () => undefined),
  );
  open.push({
    close: () => {
      child.kill("SIGKILL");
      for (const socket of sockets) socket.destroy();
    },
  });
  await eventually(
    () => connected,
    (count) => count > 500,
  );
  return port;
}

type Received = { readonly request: IncomingMessage; readonly body: string };

/** An HTTP server that reads each whole request before it answers, and the requests that it received. */
async function serve(
  answer: (response: ServerResponse, received: Received) => void,
  host = "127.0.0.1",
  port = 0,
) {
  const received: Received[] = [];
  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const one = { request, body: Buffer.concat(chunks).toString() };
      received.push(one);
      answer(response, one);
    });
  };
  return Object.assign(await listen(createServer(listener), host, port), { received });
}

/** A server that answers every request with these bytes. */
const serveRaw = (bytes: string, then: "end" | "stay") =>
  listen(
    createTcpServer((socket) => {
      socket.once("data", () => {
        socket.write(bytes);
        if (then === "end") socket.end();
      });
    }),
  );

/** The outcome of one attempt when the server gives this answer. */
async function against(
  answer: { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string },
  options: HttpOptions = {},
): Promise<Outcome> {
  const { url } = await serve((response) => {
    response.writeHead(answer.status, answer.headers ?? {});
    response.end(answer.body ?? "");
  });
  return runOnce(http(url, { ...LOOPBACK, ...options }));
}

/** JSON that JavaScript prints in another form than it was written. */
const KEPT = '{"id":3889108265204450030,"x":1e999, "2":1,"1":-0.0,"1":[ ]}';

test("the texts of payload and result stay unchanged", async () => {
  const server = await serve((response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`\n${KEPT} `);
  });
  const outcome = await runOnce(http(server.url, LOOPBACK), { payload: KEPT });
  expect(server.received[0]?.body).toEndWith(`,"payload":${KEPT}}`);
  expect(outcome).toEqual({ kind: "done", result: KEPT });
});

/** The result of a call in a process of its own, because the runtime reads some of its environment only at its start. */
async function inEnvironment(env: Readonly<Record<string, string>>, url: string): Promise<string> {
  const script = `
    const { http } = await import(${JSON.stringify(join(import.meta.dir, "http.ts"))});
    const { runOnce } = await import(${JSON.stringify(join(import.meta.dir, "../../test/support/handling.ts"))});
    const { result, error } = await runOnce(http(process.argv[1], { allowPrivate: true }));
    console.log(error?.message ?? JSON.parse(result));`;
  const child = Bun.spawn([process.execPath, "--no-env-file", "-e", script, url], {
    env: { ...process.env, ...env },
    stdout: "pipe",
    stderr: "ignore", // a warning about this environment
  });
  return (await new Response(child.stdout).text()).trim();
}

const done = (result: unknown): Outcome => ({ kind: "done", result: JSON.stringify(result) });
const failed = (code: string, retryable: boolean) => ({ kind: "failed", retryable, error: { code } });
const JSON_TYPE = { "content-type": "application/json" };

describe("the request", () => {
  test("has the task as JSON, with headers that name it", async () => {
    const server = await serve((response) => response.end());
    const task = {
      id: 7,
      name: "näme",
      description: "d",
      type: "t",
      tags: ["a"],
      labels: { region: "eu" },
      attempt: 2,
      payload: '{"n":[1]}',
    };
    await runOnce(http(`${server.url}/hook/%2e?q=1&r=%20#part`, LOOPBACK), { ...task, createdAt: 36 ** 3 });
    const [{ request, body } = { request: null, body: "" }] = server.received;
    expect(JSON.parse(body)).toEqual({ ...task, payload: { n: [1] } });
    expect(body).toEndWith(',"payload":{"n":[1]}}');
    expect([request?.method, request?.url]).toEqual(["POST", "/hook/?q=1&r=%20"]);
    expect(request?.headers).toEqual({
      host: `127.0.0.1:${server.port}`,
      "user-agent": "TaskTrack",
      "content-type": "application/json",
      "content-length": String(Buffer.byteLength(body)),
      "accept-encoding": "identity",
      "idempotency-key": "tasktrack-7-1000",
      "x-tasktrack-task": "7",
      "x-tasktrack-attempt": "2",
      connection: "close",
    });
  });

  test("has the headers of the option", async () => {
    const server = await serve((response) => response.end());
    const headers = { Authorization: "Bearer x", "User-Agent": "billing", "X-Own": "1" };
    await runOnce(http(server.url, { ...LOOPBACK, headers }));
    expect(server.received[0]?.request.headers).toMatchObject({
      authorization: "Bearer x",
      "user-agent": "billing",
      "x-own": "1",
    });
  });

  test("has one key for a task in all its versions and attempts, and another key for any other task", async () => {
    const server = await serve((response) => response.end());
    const handler = http(server.url, LOOPBACK);
    const first = { id: 1, createdAt: NOON };
    await runOnce(handler, { ...first, attempt: 1 });
    await runOnce(handler, {
      ...first,
      attempt: 2,
      name: "edited",
      payload: "[]",
      tags: ["x"],
      token: "9.z",
    });
    await runOnce(handler, { id: 2, createdAt: NOON });
    await runOnce(handler, { id: 1, createdAt: NOON + 1 }); // of another store, whose ids begin with one as well
    const keys = server.received.map(({ request }) => request.headers["idempotency-key"]);
    expect(keys[1]).toBe(keys[0]);
    expect(new Set(keys).size).toBe(3);
  });

  test("is complete at any size", async () => {
    const server = await serve((response) => response.end());
    const payload = JSON.stringify("é".repeat(MIB));
    await runOnce(http(server.url, LOOPBACK), { payload });
    expect(JSON.parse(server.received[0]?.body ?? "").payload).toBe("é".repeat(MIB));
  });

  test("does not use a proxy of the environment", async () => {
    const proxy = await serve((response) => response.end('"from the proxy"'));
    const server = await serve((response) => response.end("direct"));
    const names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    const env = Object.fromEntries(names.map((name) => [name, proxy.url]));
    const outcome = await inEnvironment(
      { ...env, NODE_USE_ENV_PROXY: "1", NO_PROXY: "", no_proxy: "" },
      server.url,
    );
    expect(outcome).toBe("direct");
    expect([proxy.connections, server.connections]).toEqual([0, 1]);
  });
});

describe("an answer in the 200s", () => {
  const results: readonly (readonly [
    kind: string,
    headers: Record<string, string>,
    body: string,
    result: unknown,
  ])[] = [
    ["JSON", JSON_TYPE, '{"a":[1,null]}', { a: [1, null] }],
    ["JSON with a charset", { "content-type": "Application/JSON; charset=utf-8" }, "7", 7],
    ["JSON with a specific media type", { "content-type": "application/problem+json" }, '"x"', "x"],
    ["JSON with a byte order mark", JSON_TYPE, "\uFEFF[1]", [1]],
    ["JSON that is null", JSON_TYPE, "null", null],
    ["invalid JSON with the media type of JSON", JSON_TYPE, "{oops", "{oops"],
    [
      "JSON that is nested too deeply",
      JSON_TYPE,
      "[".repeat(100_000) + "]".repeat(100_000),
      "[".repeat(100_000) + "]".repeat(100_000),
    ],
    ["JSON without a type", {}, "[2]", [2]],
    ["text without a type", {}, "ok", "ok"],
    ["text", { "content-type": "text/plain" }, "1", "1"],
    ["text beyond ASCII", { "content-type": "text/html" }, "<p>é😀</p>", "<p>é😀</p>"],
    ["nothing", JSON_TYPE, "", null],
  ];
  for (const [kind, headers, body, result] of results) {
    test(`that is ${kind} gives the result`, async () => {
      expect(await against({ status: 200, headers, body })).toEqual(done(result));
    });
  }

  for (const status of [200, 201, 202, 204, 205, 299]) {
    test(`is done with ${status}`, async () => {
      expect(await against({ status })).toEqual(done(null));
    });
  }

  test("may have the greatest allowed size", async () => {
    const body = "x".repeat(MIB);
    expect(await against({ status: 200, headers: { "content-type": "text/plain" }, body })).toEqual(
      done(body),
    );
  });

  test("is a permanent failure with one byte more", async () => {
    const outcome = await against({ status: 200, body: "x".repeat(MIB + 1) });
    expect(outcome).toMatchObject(failed("result_too_large", false));
  });

  test("that never ends is cut off at its limit", async () => {
    const server = await serve((response) => {
      const pour = (): void => {
        while (!response.destroyed && response.write("x".repeat(65_536)));
        if (!response.destroyed) response.once("drain", pour);
      };
      pour();
    });
    expect(await runOnce(http(server.url, LOOPBACK))).toMatchObject(failed("result_too_large", false));
    await eventually(
      () => server.sockets.size,
      (left) => left === 0,
    );
  });

  test("in an unwanted encoding is a failure", async () => {
    const outcome = await against({ status: 200, headers: { "content-encoding": "gzip" }, body: "\u001f" });
    expect(outcome).toMatchObject(failed("http_encoding", false));
  });

  test("that breaks off is a failure", async () => {
    const halves = [
      "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
      "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nhalf",
      "HTTP/1.1 200 OK\r\ncontent-le",
      "HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 2\r\n\r\nhalf",
      "SSH-2.0-OpenSSH\r\n",
      "",
    ];
    for (const half of halves) {
      const { url } = await serveRaw(half, "end");
      expect([half, await runOnce(http(url, LOOPBACK))]).toMatchObject([half, failed("network_error", true)]);
    }
  });

  test("that ends with its connection is complete", async () => {
    const { url } = await serveRaw("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nall", "end");
    expect(await runOnce(http(url, LOOPBACK))).toEqual(done("all"));
  });

  test("is read after informational answers", async () => {
    const { url } = await serveRaw(
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n7",
      "stay",
    );
    expect(await runOnce(http(url, LOOPBACK))).toEqual(done(7));
  });
});

describe("an answer that is not a success", () => {
  const verdicts: readonly (readonly [retryable: boolean, statuses: readonly number[]])[] = [
    [true, [408, 425, 429, 500, 501, 502, 503, 504, 507, 599]],
    [
      false,
      [300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 409, 410, 413, 422, 451, 499, 600, 999],
    ],
  ];
  for (const [retryable, statuses] of verdicts) {
    for (const status of statuses) {
      test(`${status} is ${retryable ? "retried" : "permanent"}`, async () => {
        expect(await against({ status })).toMatchObject(failed(`http_${status}`, retryable));
      });
    }
  }

  test("is reported with the first line of its body", async () => {
    const messages: readonly (readonly [body: string, message: string])[] = [
      ["no such invoice\nand more", "127.0.0.1 answered 404: no such invoice"],
      ["\r\n  \n spaced \u0000\u001b[31m out\r\nx", "127.0.0.1 answered 404: spaced [31m out"],
      ["", "127.0.0.1 answered 404"],
      ["y".repeat(9_999), `127.0.0.1 answered 404: ${"y".repeat(200)}`],
      [`${"y".repeat(199)}😀`, `127.0.0.1 answered 404: ${"y".repeat(199)}\uFFFD`],
    ];
    for (const [body, message] of messages) {
      expect(await against({ status: 404, body })).toMatchObject({ error: { message } });
    }
  });

  test("does not show the path of the URL, which may be a secret", async () => {
    const server = await serve((response) => response.writeHead(500).end());
    const outcome = await runOnce(http(`${server.url}/services/T0/s3cret?token=s3cret`, LOOPBACK));
    expect(JSON.stringify(outcome)).not.toContain("s3cret");
  });

  test("counts even if its body breaks off", async () => {
    const { url } = await serveRaw("HTTP/1.1 422 No\r\ncontent-length: 99\r\n\r\nbad sum", "end");
    const outcome = await runOnce(http(url, LOOPBACK));
    expect(outcome).toMatchObject({
      ...failed("http_422", false),
      error: { message: "127.0.0.1 answered 422: bad sum" },
    });
  });

  test("is not read to its end, which would not be shown", async () => {
    const { url } = await serveRaw(`HTTP/1.1 500 No\r\n\r\n${"x".repeat(5_000)}`, "stay");
    expect(await runOnce(http(url, LOOPBACK))).toMatchObject(failed("http_500", true));
  });

  test("that switches the protocol is a failure", async () => {
    const { url } = await serveRaw(
      "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nhello",
      "stay",
    );
    const outcome = await runOnce(http(url, LOOPBACK));
    expect(outcome).toMatchObject(failed("http_101", false));
  });
});

describe("an answer with Retry-After", () => {
  const now = Date.UTC(2026, 0, 1, 12);
  const at = (ms: number): string => new Date(now + ms).toUTCString();
  const clock = {
    ...createManualClock(now),
    after: httpWorld.clock.after,
    monotonic: httpWorld.clock.monotonic,
  };
  const asked = async (status: number, retryAfter: string): Promise<Outcome> => {
    const { url } = await serve((response) =>
      response.writeHead(status, { "retry-after": retryAfter }).end("later"),
    );
    return runOnce(createHttp({ ...httpWorld, clock })(url, LOOPBACK));
  };
  const waits: readonly (readonly [text: string, delayMs: number])[] = [
    ["1", 1_000],
    ["120", 120_000],
    ["0", 1_000],
    ["3600", 3_600_000],
    ["3601", 3_600_000],
    ["9".repeat(400), 3_600_000],
    [at(90_000), 90_000],
    [at(-90_000), 1_000],
    [at(86_400_000), 3_600_000],
    ["Thursday, 01-Jan-26 12:01:00 GMT", 60_000],
  ];
  for (const status of [429, 503]) {
    for (const [text, delayMs] of waits) {
      test(`releases the task: ${status} with ${text.slice(0, 40)}`, async () => {
        expect(await asked(status, text)).toEqual({ kind: "released", delayMs });
      });
    }
    for (const text of [
      "",
      "soon",
      "-5",
      "1.5",
      "1e3",
      "0x10",
      "12 s",
      "2026-01-02",
      "Mon",
      "Monday, never",
    ]) {
      test(`is a failure like any other if it is invalid: ${status} with "${text}"`, async () => {
        expect(await asked(status, text)).toMatchObject(failed(`http_${status}`, true));
      });
    }
  }

  test("has no effect with any other status", async () => {
    expect(await asked(500, "5")).toMatchObject(failed("http_500", true));
    expect(await asked(404, "5")).toMatchObject(failed("http_404", false));
    expect(await asked(200, "5")).toMatchObject({ kind: "done" });
  });
});

describe("a server that does not answer, or is slow", () => {
  test("refuses: the task is retried", async () => {
    const server = await listen(createTcpServer());
    for (const one of open.splice(0)) one.close();
    expect(await runOnce(http(server.url, LOOPBACK))).toMatchObject(failed("network_error", true));
  });

  test("closes or resets every connection at once: the task is retried each time", async () => {
    for (const close of [
      (socket: Socket) => socket.destroy(),
      (socket: Socket) => socket.resetAndDestroy(),
    ]) {
      const { port } = await listen(createTcpServer(close));
      for (const scheme of ["http", "https"]) {
        const handler = http(`${scheme}://127.0.0.1:${port}`, LOOPBACK);
        const outcomes = await Promise.all(Array.from({ length: 100 }, () => runOnce(handler)));
        for (const outcome of outcomes) expect(outcome).toMatchObject(failed("network_error", true));
      }
    }
  });

  test("has no address: the task is retried", async () => {
    const unknown = createHttp({ ...httpWorld, lookup: () => Promise.reject(new Error("ENOTFOUND")) });
    expect(await runOnce(unknown("http://nobody.invalid/"))).toMatchObject(failed("network_error", true));
    const nowhere = createHttp({ ...httpWorld, lookup: async () => [] });
    expect(await runOnce(nowhere("http://nobody.invalid/"))).toMatchObject(failed("network_error", true));
  });

  test("is called at its next address if the first one refuses", async () => {
    const server = await serve((response) => response.end("here"));
    const lookup = async (): Promise<string[]> => ["127.0.0.77", "127.0.0.1"];
    const { port } = server;
    const handler = createHttp({ ...httpWorld, lookup })(`http://two.example:${port}`, {
      allowPrivate: true,
    });
    expect(await runOnce(handler)).toEqual(done("here"));
    expect(server.received[0]?.request.headers.host).toBe(`two.example:${port}`);
  });

  const SOON = "20ms";
  test("is not resolved for longer than connectTimeout", async () => {
    const silent = createHttp({ ...httpWorld, lookup: () => new Promise(() => undefined) });
    const outcome = await runOnce(silent("http://slow.example", { connectTimeout: SOON }));
    expect(outcome).toMatchObject({
      ...failed("http_timeout", true),
      error: { message: "the name resolution of slow.example took too long" },
    });
  });

  test("does not connect for longer than connectTimeout", async () => {
    const port = await listenInVain();
    const outcome = await runOnce(http(`http://127.0.0.1:${port}`, { ...LOOPBACK, connectTimeout: SOON }));
    expect(outcome).toMatchObject({
      ...failed("http_timeout", true),
      error: { message: `the connection to 127.0.0.1 (127.0.0.1, port ${port}) took too long` },
    });
  });

  test("is called at its next address in time, if the first one is silent", async () => {
    const port = await listenInVain();
    await serve((response) => response.end("here"), "::1", port);
    const lookup = async (): Promise<string[]> => ["127.0.0.1", "::1"];
    const options = { allowPrivate: true, connectTimeout: "400ms" };
    const handler = createHttp({ ...httpWorld, lookup })(`http://two.example:${port}`, options);
    expect(await runOnce(handler)).toEqual(done("here"));
  });

  test("does not do a TLS handshake for longer than connectTimeout", async () => {
    const { port, sockets } = await listen(createTcpServer((socket) => socket.resume()));
    const outcome = await runOnce(http(`https://127.0.0.1:${port}`, { ...LOOPBACK, connectTimeout: SOON }));
    expect(outcome).toMatchObject({
      ...failed("http_timeout", true),
      error: { message: "the TLS handshake with 127.0.0.1 took too long" },
    });
    await eventually(
      () => sockets.size,
      (left) => left === 0,
    );
  });

  test("does not begin to answer for longer than answerTimeout", async () => {
    const server = await serve(() => undefined);
    const outcome = await runOnce(http(server.url, { ...LOOPBACK, answerTimeout: SOON }));
    expect(outcome).toMatchObject({
      ...failed("http_timeout", true),
      error: { message: "127.0.0.1 did not begin to answer within 20ms" },
    });
    await eventually(
      () => server.sockets.size,
      (left) => left === 0,
    );
  });

  test("does not pause in its answer for longer than idleTimeout", async () => {
    for (const begin of [
      (response: ServerResponse) => response.flushHeaders(),
      (response: ServerResponse) => response.write("a"),
    ]) {
      const server = await serve(begin);
      const outcome = await runOnce(http(server.url, { ...LOOPBACK, idleTimeout: SOON }));
      expect(outcome).toMatchObject({
        ...failed("http_timeout", true),
        error: { message: "127.0.0.1 did not continue its answer within 20ms" },
      });
      await eventually(
        () => server.sockets.size,
        (left) => left === 0,
      );
    }
  });

  test("may be slow as long as its answer continues", async () => {
    const answer = Promise.withResolvers<ServerResponse>();
    const server = await serve((response) => {
      response.write("x");
      answer.resolve(response);
    });
    const manual = createManualClock();
    let waits = 0;
    const clock = {
      ...manual,
      after: (ms: number, run: () => void) => {
        waits++;
        return manual.after(ms, run);
      },
    };
    const make = createHttp({ ...httpWorld, clock });
    const outcome = runOnce(make(server.url, { ...LOOPBACK, idleTimeout: "30s" }));
    const response = await answer.promise;
    for (let part = 1; part < 10; part++) {
      const before = waits;
      await manual.advance(10_000); // ninety seconds in all
      response.write("x");
      await eventually(
        () => waits,
        (count) => count > before, // it has arrived, and the handler waits for the next one
      );
    }
    response.end();
    expect(await outcome).toEqual(done("x".repeat(10)));
  });

  test("leaves no timer and no connection behind", async () => {
    let timers = 0;
    const clock = {
      ...httpWorld.clock,
      after: (ms: number, run: () => void) => {
        timers++;
        let isOver = false;
        const over = (): void => {
          if (!isOver) timers--;
          isOver = true;
        };
        const cancel = httpWorld.clock.after(ms, () => {
          over();
          run();
        });
        return () => {
          over();
          cancel();
        };
      },
    };
    const server = await serve((response, { request }) =>
      request.url === "/silent" ? response.flushHeaders() : response.end("ok"),
    );
    const stop = new AbortController();
    const make = createHttp({ ...httpWorld, clock });
    for (const url of [
      server.url,
      "http://127.0.0.1:1/",
      "http://10.0.0.1/",
      `https://127.0.0.1:${server.port}`,
    ]) {
      await runOnce(make(url, LOOPBACK));
    }
    const silent = runOnce(make(`${server.url}/silent`, LOOPBACK), {}, stop.signal);
    await eventually(
      () => timers,
      (count) => count > 0,
    );
    stop.abort();
    await silent;
    expect(timers).toBe(0);
    await eventually(
      () => server.sockets.size,
      (left) => left === 0,
    );
  });
});

describe("an abort", () => {
  const aborted = failed("aborted", true);

  test("before the call opens no connection", async () => {
    const server = await serve((response) => response.end());
    expect(await runOnce(http(server.url, LOOPBACK), {}, AbortSignal.abort())).toMatchObject(aborted);
    expect(server.connections).toBe(0);
  });

  test("during name resolution ends the call", async () => {
    const stop = new AbortController();
    const lookup = (): Promise<string[]> => {
      stop.abort();
      return new Promise(() => undefined);
    };
    const outcome = await runOnce(createHttp({ ...httpWorld, lookup })("http://a.example"), {}, stop.signal);
    expect(outcome).toMatchObject(aborted);
  });

  test("while the server works closes the connection", async () => {
    const stop = new AbortController();
    const server = await serve(() => stop.abort());
    expect(await runOnce(http(server.url, LOOPBACK), {}, stop.signal)).toMatchObject(aborted);
    await eventually(
      () => server.sockets.size,
      (left) => left === 0,
    );
  });

  test("in the middle of the answer closes the connection", async () => {
    const stop = new AbortController();
    const server = await serve((response) => response.write("a", () => stop.abort()));
    expect(await runOnce(http(server.url, LOOPBACK), {}, stop.signal)).toMatchObject(aborted);
    await eventually(
      () => server.sockets.size,
      (left) => left === 0,
    );
  });

  test("during the TLS handshake closes the connection", async () => {
    const stop = new AbortController();
    const { port, sockets } = await listen(
      createTcpServer((socket) => socket.once("data", () => stop.abort())),
    );
    expect(await runOnce(http(`https://127.0.0.1:${port}`, LOOPBACK), {}, stop.signal)).toMatchObject(
      aborted,
    );
    await eventually(
      () => sockets.size,
      (left) => left === 0,
    );
  });
});

describe("TLS", () => {
  let folder = "";
  let [cert, key] = ["", ""];
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tasktrack-tls-"));
    const files = ["-keyout", join(folder, "key.pem"), "-out", join(folder, "cert.pem")];
    const subject = ["-subj", "/CN=hook.example", "-addext", "subjectAltName=DNS:hook.example,IP:127.0.0.1"];
    const kind = [
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:prime256v1",
      "-nodes",
      "-days",
      "2",
    ];
    const made = Bun.spawnSync(["openssl", "req", ...kind, ...files, ...subject]);
    if (!made.success) throw new Error(`openssl made no certificate: ${made.stderr.toString()}`);
    cert = await readFile(join(folder, "cert.pem"), "utf8");
    key = await readFile(join(folder, "key.pem"), "utf8");
  });
  afterAll(() => rm(folder, { recursive: true }));

  /** A server with this certificate. It answers with the server name of the TLS handshake and the Host of the request. */
  async function secureServer() {
    let requests = 0;
    const server = createSecureServer({ cert, key }, (request, response) => {
      requests++;
      // Only the TLS socket of an HTTPS request has it.
      const { servername } = request.socket as unknown as { readonly servername: unknown };
      response.end(JSON.stringify({ servername, host: request.headers.host }));
    });
    const { port } = await listen(server);
    return { port, requests: () => requests };
  }

  const here = createHttp({ ...httpWorld, lookup: async () => ["127.0.0.1"] });

  test("does not accept a certificate without a trusted authority", async () => {
    const { port, requests } = await secureServer();
    const outcome = await runOnce(here(`https://hook.example:${port}`, LOOPBACK));
    expect(outcome).toMatchObject(failed("network_error", true));
    expect(JSON.stringify(outcome)).toContain("self signed certificate");
    expect(requests()).toBe(0);
  });

  test("accepts it if it is given as ca, and sends the host of the URL", async () => {
    const { port } = await secureServer();
    for (const host of ["hook.example", "hook.example.", "HOOK.example"]) {
      const outcome = await runOnce(here(`https://${host}:${port}`, { ...LOOPBACK, ca: cert }));
      expect(outcome).toEqual(done({ servername: "hook.example", host: `hook.example:${port}` }));
    }
  });

  test("sends no server name if the URL has an address, which the certificate must contain", async () => {
    const { port, requests } = await secureServer();
    const all = { allowPrivate: true, ca: [cert] };
    const outcome = await runOnce(here(`https://127.0.0.1:${port}`, all));
    expect(outcome).toEqual(done({ servername: false, host: `127.0.0.1:${port}` }));
    expect(await runOnce(here(`https://127.0.0.2:${port}`, all))).toMatchObject(
      failed("network_error", true),
    );
    expect(requests()).toBe(1);
  });

  test("does not accept a certificate of another name", async () => {
    const { port, requests } = await secureServer();
    const outcome = await runOnce(here(`https://other.example:${port}`, { ...LOOPBACK, ca: cert }));
    expect(outcome).toMatchObject(failed("network_error", true));
    expect(requests()).toBe(0);
  });

  test("cannot be weakened by the environment", async () => {
    const { port, requests } = await secureServer();
    const outcome = await inEnvironment({ NODE_TLS_REJECT_UNAUTHORIZED: "0" }, `https://127.0.0.1:${port}`);
    expect(outcome).toContain("self signed certificate");
    expect(requests()).toBe(0);
  });

  test("to a server without TLS is a network error", async () => {
    const server = await serve((response) => response.end());
    const outcome = await runOnce(http(`https://127.0.0.1:${server.port}`, LOOPBACK));
    expect(outcome).toMatchObject(failed("network_error", true));
  });
});

describe("invalid options are refused when the handler is created", () => {
  const wrong: readonly (readonly [what: string, make: () => unknown])[] = [
    ["no URL", () => http("")],
    ["a path", () => http("/hook")],
    ["a host alone", () => http("billing.example/hook")],
    ["a URL that cannot be read", () => http("http://256.1.1.1/")],
    ["another scheme", () => http("ftp://billing.example/")],
    ["a file", () => http("file:///etc/passwd")],
    ["data", () => http("data:,x")],
    ["a user", () => http("https://user@billing.example/")],
    ["a password", () => http("https://:secret@billing.example/")],
    ["port 0", () => http("https://billing.example:0/")],
    ["a port that is too high", () => http("https://billing.example:65536/")],
    ["a zone", () => http("http://[fe80::1%25eth0]/")],
    ["a host that is a dot", () => http("http://./")],
    ["the header Host", () => http("https://a.example", { headers: { Host: "b" } })],
    [
      "a header that TaskTrack sets",
      () => http("https://a.example", { headers: { "idempotency-KEY": "b" } }),
    ],
    ["a header's name with a space", () => http("https://a.example", { headers: { "a b": "c" } })],
    ["a header's value with a line break", () => http("https://a.example", { headers: { a: "b\r\nc: d" } })],
    ["a header's value beyond Latin-1", () => http("https://a.example", { headers: { a: "\u0416" } })],
    ["an invalid timeout", () => http("https://a.example", { connectTimeout: "10" })],
    ["a timeout of zero", () => http("https://a.example", { idleTimeout: "0s" })],
    ["an invalid certificate", () => http("https://a.example", { ca: "/etc/ssl/ca.pem" })],
    ["an invalid range", () => http("https://a.example", { allowPrivate: ["localhost"] })],
    ["an invalid range for the process", () => createHttp({ ...httpWorld, allowPrivate: ["10.0.0.1/8"] })],
    ["a misspelt option", () => http("https://a.example", Object.fromEntries([["allowPrivat", true]]))],
  ];
  for (const [what, make] of wrong) {
    test(what, () => {
      expect(make).toThrow(TypeError);
    });
  }

  test("and a secret is not shown", () => {
    const url = (): unknown => http("https://user:s3cret@billing.example/");
    const header = (): unknown => http("https://a.example", { headers: { authorization: "s3cret\n" } });
    for (const make of [url, header]) {
      expect(make).toThrow(TypeError);
      expect(make).not.toThrow(/s3cret/);
    }
  });
});
