/** Differences between runtimes, and errors of callers: every call of the SDK ends, with a clear error. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createApi } from "../../src/client/api.ts";
import { createClient, createWorker, TaskTrackError } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { createManualClock } from "../support/clock.ts";
import { createTestLog } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";

let server: RunningApp;
beforeAll(async () => {
  server = await startApp({ ROLE: "api" });
});
afterAll(() => server.stop());

/** A `fetch` as in Deno 2.9, half a minute after the answer has begun: the signal no longer ends the body. */
const deafFetch = (url: string, init: RequestInit): Promise<Response> =>
  fetch(url, { ...init, signal: null });

describe("a stream in a runtime that ignores the signal", () => {
  test("ends with its signal", async () => {
    const abort = new AbortController();
    const { promise: connected, resolve } = Promise.withResolvers<void>();
    const client = createClient(server.url, { fetch: deafFetch });
    const watching = (async () => {
      for await (const _ of client.watch({
        type: "none",
        signal: abort.signal,
        onConnection: () => resolve(),
      }));
    })();
    await connected;
    abort.abort();
    await watching;
  });

  test("ends with its loop, also while no event comes", async () => {
    const client = createClient(server.url, { fetch: deafFetch });
    const events = client.watch({ type: "left" })[Symbol.asyncIterator]();
    const first = events.next();
    await eventually(
      () => client.create({ name: "seen", type: "left" }),
      () => Bun.peek.status(first) === "fulfilled",
    );
    await events.return?.();
  });

  test("is closed and opened again when no heartbeat comes", async () => {
    const clock = createManualClock();
    const opened: string[] = [];
    const silent = createApi({
      url: server.url,
      options: {
        fetch: async (url) => {
          opened.push(url);
          return new Response(new ReadableStream()); // sends nothing and never ends
        },
      },
      clock,
      random: () => 0,
    });
    const { watchEvents } = await import("../../src/client/watch.ts");
    const abort = new AbortController();
    const reported: boolean[] = [];
    const next = watchEvents(
      { api: silent, clock },
      {
        signal: abort.signal,
        onConnection: (isConnected) => void reported.push(isConnected),
      },
    ).next();
    await eventually(
      () => reported,
      (all) => all.length === 1,
    );
    await clock.advance(60_000);
    await eventually(
      () => reported,
      (all) => all.length >= 2,
    );
    expect(reported.slice(0, 2)).toEqual([true, false]);
    abort.abort();
    expect((await next).done).toBe(true);
  });
});

describe("errors of the caller", () => {
  const unsendable: Record<string, string>[] = [{ "x-name": "имя" }, { "x y": "1" }, { "x-name": "a\nb" }];

  test.each(unsendable)("the headers %j are a TypeError when the client or worker is created", (headers) => {
    expect(() => createClient(server.url, { headers })).toThrow(TypeError);
    const worker = { url: server.url, handlers: { x: async () => null }, headers };
    expect(() => createWorker(worker)).toThrow(TypeError);
  });

  test("an idempotency key or an event id that cannot be sent is a TypeError, and nothing is sent", async () => {
    let sent = 0;
    const counted = (url: string, init: RequestInit): Promise<Response> => {
      sent++;
      return fetch(url, init);
    };
    const client = createClient(server.url, { fetch: counted });
    await expect(client.create({ name: "x" }, { idempotencyKey: "ключ" })).rejects.toThrow(TypeError);
    const events = client.watch({ since: "a\nb" })[Symbol.asyncIterator]();
    await expect(events.next()).rejects.toThrow(TypeError);
    expect(sent).toBe(0);
  });

  test.each([true, false])("an error of onConnection(%p) is thrown", async (when) => {
    const own = await startApp({ ROLE: "api" });
    const onConnection = (isConnected: boolean): void => {
      if (isConnected === when) throw new Error("of the caller");
    };
    const watching = (async () => {
      for await (const _ of createClient(own.url).watch({ onConnection }));
    })();
    const outcome = watching.then(
      () => "ended",
      (error: Error) => error.message,
    );
    if (!when)
      await eventually(
        () => own.app.engine.position(),
        () => true,
      ).then(() => own.stop());
    expect(await outcome).toBe("of the caller");
    await own.stop();
  });
});

describe("an incomplete answer", () => {
  test("a 200 without a body is an error for each call", async () => {
    const client = createClient(server.url, { fetch: async () => new Response(""), retries: 0 });
    const calls: Promise<unknown>[] = [
      client.get(1),
      client.create({ name: "x" }),
      client.page(),
      client.stats(),
      client.cancel(1),
      client.wait(1),
      client.edit(1, { name: "y" }),
    ];
    expect(await Promise.allSettled(calls)).toMatchObject(
      calls.map(() => ({
        status: "rejected",
        reason: { name: "TaskTrackError", code: "no_json", status: 200 },
      })),
    );
  });

  /** A runtime may end the body of an aborted request as if it were complete. */
  const endsOnAbort = async (_: string, { signal }: RequestInit): Promise<Response> => {
    const body = new ReadableStream({
      start: (controller) => signal?.addEventListener("abort", () => controller.close()),
    });
    return new Response(body);
  };

  test("a call that is aborted while its answer comes rejects with the signal's reason", async () => {
    const abort = new AbortController();
    const call = createClient(server.url, { fetch: endsOnAbort }).get(1, { signal: abort.signal });
    abort.abort(new Error("of the caller"));
    await expect(call).rejects.toThrow("of the caller");
  });

  test("a call whose answer is not whole in time rejects", async () => {
    const call = createClient(server.url, { fetch: endsOnAbort, timeoutMs: 1, retries: 0 }).get(1);
    await expect(call).rejects.toMatchObject({ name: "TaskTrackError", code: "unreachable" });
  });
});

describe("many calls at once", () => {
  test("hundreds of waits leave connections for other requests, and all are answered", async () => {
    const WAITS = 300;
    let [open, peak] = [0, 0];
    const counted = async (url: string, init: RequestInit): Promise<Response> => {
      peak = Math.max(peak, ++open);
      return fetch(url, init).finally(() => open--);
    };
    const client = createClient(server.url, { fetch: counted });
    const ids = await client.createMany(
      Array.from({ length: WAITS }, (_, n) => ({ name: `${n}`, type: "awaited" })),
    );
    const waits = Promise.all(ids.map((id) => client.wait(id)));
    await client.create({ name: "one more", type: "other" });
    expect(peak).toBeLessThan(200); // Bun sends 256 requests at once, and lets all others wait
    await client.bulk({ filter: { type: "awaited" }, action: "cancel" });
    expect((await waits).map(({ status }) => status)).toEqual(ids.map(() => "cancelled"));
  });

  test("workers beyond the limit of polls claim without a wait, and run tasks", async () => {
    const WORKERS = 300;
    let [open, peak] = [0, 0];
    const counted = async (url: string, init: RequestInit): Promise<Response> => {
      peak = Math.max(peak, ++open);
      return fetch(url, init).finally(() => open--);
    };
    const log = createTestLog();
    const workers = Array.from({ length: WORKERS }, (_, n) =>
      createWorker({
        ...{ url: server.url, fetch: counted, log, concurrency: 1, lease: "60s" },
        handlers: { [`crowd-${n}`]: async () => n },
      }),
    );
    for (const worker of workers) worker.start();
    const client = createClient(server.url);
    const { result } = await client.run({ name: "last", type: `crowd-${WORKERS - 1}` });
    expect(result).toBe(WORKERS - 1);
    expect(peak).toBeLessThan(200);
    await Promise.all(workers.map((worker) => worker.stop(0)));
  });
});

test("retries last longer than the half minute of a restart, for all random pauses", async () => {
  for (const drawn of [0, 0.999]) {
    let pausedMs = 0;
    const clock = {
      ...createManualClock(),
      after: (delayMs: number, run: () => void): (() => void) => {
        const isDeadline = delayMs === 30_000; // the time limit of one try
        if (!isDeadline) {
          pausedMs += delayMs;
          queueMicrotask(run);
        }
        return () => undefined;
      },
    };
    const options = { fetch: () => Promise.reject(new TypeError("connection refused")) };
    const api = createApi({ url: server.url, options, clock, random: () => drawn });
    await expect(api.send({ method: "GET", path: "/" })).rejects.toBeInstanceOf(TaskTrackError);
    expect(pausedMs).toBeGreaterThan(30_000);
    expect(pausedMs).toBeLessThan(120_000);
  }
});
