/** `http()` from end to end, with a real server, a real worker and a real receiver. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createWorker } from "../src/client/client.ts";
import type { Task } from "../src/core/task.ts";
import { http } from "../src/handlers/http.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { createTestLog } from "./support/engine.ts";
import { eventually } from "./support/eventually.ts";
import { create } from "./support/verbs.ts";

let server: RunningApp;
beforeAll(async () => {
  server = await startApp({ LEASE: "1s" });
});
afterAll(() => server.stop());

/**
 * A receiver that gives these answers one after another, and a worker that sends it the tasks of this type. A third of the lease is the time
 * between two heartbeats; a machine that stalls for the whole lease loses the task.
 */
async function receive(
  type: string,
  answers: readonly ((response: ServerResponse) => void)[],
  lease: string,
) {
  const received: IncomingMessage["headers"][] = [];
  const receiver = createServer((request, response) => {
    received.push(request.headers);
    request.resume().on("end", () => answers[Math.min(received.length, answers.length) - 1]?.(response));
  });
  await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  // A server that listens on a port has an address of this kind.
  const { port } = receiver.address() as AddressInfo;
  const handlers = { [type]: http(`http://127.0.0.1:${port}/hook`, { allowPrivate: ["127.0.0.1"] }) };
  const worker = createWorker({ url: server.url, handlers, lease, log: createTestLog() });
  worker.start();
  const stop = async (): Promise<void> => {
    await worker.stop(1_000);
    receiver.closeAllConnections();
    receiver.close();
  };
  return { received, stop };
}

const becomes = (id: number, is: (task: Task) => boolean): Promise<Task> =>
  eventually(() => server.app.engine.get(id), is);

describe("a task of an HTTP handler", () => {
  test("fails, waits for Retry-After and is done, with one Idempotency-Key in all calls", async () => {
    const { received, stop } = await receive(
      "hook.retried",
      [
        (response) => response.writeHead(500).end("no"),
        (response) => response.writeHead(429, { "retry-after": "1" }).end(),
        (response) => response.writeHead(200, { "content-type": "application/json" }).end('{"sent":true}'),
      ],
      "60s",
    );
    const id = await create(server.app.engine, { type: "hook.retried", backoff: { baseMs: 1, maxMs: 1 } });
    const task = await becomes(id, ({ status }) => status === "done");
    expect(task).toMatchObject({ result: '{"sent":true}', failures: 1 });
    expect(task.attempts.map(({ outcome }) => outcome)).toEqual(["failed", "released", "done"]);
    await server.app.engine.retry(id);
    await becomes(id, ({ status, attempts }) => status === "done" && attempts.length === 4);
    expect(received.map((headers) => headers["x-tasktrack-attempt"])).toEqual(["1", "2", "2", "1"]);
    expect(new Set(received.map((headers) => headers["idempotency-key"])).size).toBe(1);
    await stop();
  });

  test("closes its connection when it is cancelled", async () => {
    let closed = false;
    const { received, stop } = await receive(
      "hook.cancelled",
      [
        (response) =>
          response
            .once("close", () => (closed = true))
            .writeHead(200)
            .write("working"),
      ],
      "1s",
    );
    const id = await create(server.app.engine, { type: "hook.cancelled" });
    await eventually(
      () => received.length,
      (count) => count === 1,
    );
    await server.app.engine.cancel(id);
    await becomes(id, ({ status }) => status === "cancelled");
    await eventually(
      () => closed,
      (is) => is,
    );
    await stop();
  });
});
