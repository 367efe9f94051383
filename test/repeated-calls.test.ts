/**
 * A runtime may repeat a request inside one call of `fetch`, when its kept connection was closed. With an idempotency key, the
 * repeated request gets the answer of the first one, on every store and in every process.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createClient } from "../src/client/client.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { everyPairing } from "./support/every-pairing.ts";
import { expectProblem } from "./support/problem.ts";

type Json = Record<string, unknown>;

let server: RunningApp;
let peer: RunningApp;
let types = 0;

const send = (method: string, path: string, key: string, body?: unknown, at = server): Promise<Response> =>
  fetch(at.url + path, {
    method,
    headers: { "idempotency-key": key },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

async function add(body: Json = {}): Promise<number> {
  const answer = await send("POST", "/api/task", crypto.randomUUID(), {
    ...{ name: "a task", type: `repeated-${++types}` },
    ...body,
  });
  return ((await answer.json()) as { task_id: number }).task_id;
}

const see = async (id: number): Promise<Json> =>
  (await (await fetch(`${server.url}/api/task/${id}`)).json()) as Json;

const factsOf = async (answer: Response) => ({
  status: answer.status,
  replayed: answer.headers.get("idempotent-replayed"),
  etag: answer.headers.get("etag"),
  body: answer.status === 204 ? null : ((await answer.json()) as Json),
});

/** Claims the task and fails it for good. */
async function fail(id: number): Promise<void> {
  const { type } = await see(id);
  const claimed = await send("POST", "/api/worker/claim", "-", { worker: "w", types: [type] });
  const { tasks } = (await claimed.json()) as { tasks: { lease: { token: string } }[] };
  const token = tasks[0]?.lease.token;
  expect((await send("POST", `/api/task/${id}/fail`, "-", { token, retryable: false })).status).toBe(200);
}

describe.each(everyPairing("repeated").slice(0, 4))("calls that are repeated, on %s", (name, settings) => {
  beforeAll(async () => {
    server = await startApp({ ROLE: "api", ...settings });
    const isShared = name === "PostgreSQL" || name === "Redis";
    peer = isShared ? await startApp({ ROLE: "api", ...settings }) : server;
  });
  afterAll(async () => {
    await server.stop();
    if (peer !== server) await peer.stop();
  });

  test("a repeated cancel gets the first answer", async () => {
    const id = await add();
    const first = await factsOf(await send("POST", `/api/task/${id}/cancel`, "k"));
    expect(first).toMatchObject({ status: 200, replayed: null, body: { status: "cancelled", version: 2 } });
    const again = await factsOf(await send("POST", `/api/task/${id}/cancel`, "k", undefined, peer));
    expect(again).toEqual({ ...first, replayed: "true" });
    await expectProblem(await send("POST", `/api/task/${id}/cancel`, "another"), {
      ...{ status: 409, code: "wrong_status" },
    });
  });

  test("a repeated cancel of a running task is a 202, also after the task has ended", async () => {
    const id = await add();
    const { type } = await see(id);
    const claimed = await send("POST", "/api/worker/claim", "-", { worker: "w", types: [type] });
    const { tasks } = (await claimed.json()) as { tasks: { lease: { token: string } }[] };
    expect((await send("POST", `/api/task/${id}/cancel`, "k")).status).toBe(202);
    await send("POST", `/api/task/${id}/release`, "-", { token: tasks[0]?.lease.token });
    expect(await factsOf(await send("POST", `/api/task/${id}/cancel`, "k"))).toMatchObject({
      ...{ status: 202, replayed: "true", body: { status: "cancelled" } },
    });
  });

  test("a repeated retry is executed once, also after the task has failed again", async () => {
    const id = await add();
    await fail(id);
    const first = await factsOf(await send("POST", `/api/task/${id}/retry`, "k"));
    expect(first).toMatchObject({ status: 200, body: { status: "pending", version: 4 } });
    expect(await factsOf(await send("POST", `/api/task/${id}/retry`, "k", undefined, peer))).toEqual({
      ...{ ...first, replayed: "true" },
    });
    await fail(id);
    const late = await factsOf(await send("POST", `/api/task/${id}/retry`, "k"));
    expect(late).toMatchObject({ status: 200, replayed: "true", body: { status: "failed", version: 6 } });
    expect(await see(id)).toMatchObject({ status: "failed", version: 6 });
  });

  test("a repeated deletion is a 204", async () => {
    const id = await add();
    expect((await send("DELETE", `/api/task/${id}`, "k")).status).toBe(204);
    const again = await send("DELETE", `/api/task/${id}`, "k", undefined, peer);
    expect(await factsOf(again)).toMatchObject({ status: 204, replayed: "true" });
    await expectProblem(await send("DELETE", `/api/task/${id}`, "another"), {
      ...{ status: 404, code: "not_found" },
    });
  });

  test("a repeated edit with If-Match gets the first answer; another body is refused", async () => {
    const id = await add();
    const edit = (body: Json, at = server) =>
      fetch(`${at.url}/api/task/${id}`, {
        method: "PATCH",
        headers: { "idempotency-key": "k", "if-match": '"v1"' },
        body: JSON.stringify(body),
      });
    const first = await factsOf(await edit({ name: "new" }));
    expect(first).toMatchObject({ status: 200, etag: '"v2"' });
    expect(await factsOf(await edit({ name: "new" }, peer))).toEqual({ ...first, replayed: "true" });
    await expectProblem(await edit({ name: "other" }), { status: 422, code: "idempotency_mismatch" });
    expect((await see(id)).version).toBe(2);
  });

  test("the same key is independent for each kind of call and each task", async () => {
    const [a, b] = [await add(), await add()];
    for (const id of [a, b]) {
      expect(
        (await send("POST", `/api/task/${id}/cancel`, "k")).headers.get("idempotent-replayed"),
      ).toBeNull();
      expect((await send("POST", `/api/task/${id}/retry`, "k")).status).toBe(200);
      expect((await send("DELETE", `/api/task/${id}`, "k")).status).toBe(204);
    }
  });

  test("a refused call is evaluated again when it is repeated", async () => {
    const id = await add();
    await expectProblem(await send("POST", `/api/task/${id}/retry`, "k"), {
      status: 409,
      code: "wrong_status",
    });
    await fail(id);
    expect(await factsOf(await send("POST", `/api/task/${id}/retry`, "k"))).toMatchObject({
      ...{ status: 200, replayed: null },
    });
  });

  test("a call that is sent many times at the same moment is executed once, and all get the same answer", async () => {
    for (const [verb, status] of [
      ["cancel", 200],
      ["retry", 200],
      ["", 204],
    ] as const) {
      const id = await add();
      if (verb === "retry") await fail(id);
      const { version } = await see(id);
      const path = verb === "" ? `/api/task/${id}` : `/api/task/${id}/${verb}`;
      const method = verb === "" ? "DELETE" : "POST";
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, n) => send(method, path, "k", undefined, n % 2 === 0 ? server : peer)),
      );
      expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => status));
      expect(answers.filter(({ headers }) => headers.get("idempotent-replayed") === null)).toHaveLength(1);
      if (verb !== "") expect((await see(id)).version).toBe(Number(version) + 1);
    }
  });

  test("of two edits with one key at the same moment one is executed, and the other body is refused", async () => {
    const id = await add();
    const edit = (name: string, at: RunningApp) => send("PATCH", `/api/task/${id}`, "k", { name }, at);
    const answers = await Promise.all([
      edit("a", server),
      edit("b", server),
      edit("c", peer),
      edit("d", peer),
    ]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 422, 422, 422]);
    for (const answer of answers.filter(({ status }) => status === 422)) {
      await expectProblem(answer, { status: 422, code: "idempotency_mismatch" });
    }
    expect((await see(id)).version).toBe(2);
  });

  test("a cancel that is repeated while another one is under way does not stop a later run of the task", async () => {
    const id = await add();
    const { type } = await see(id);
    const claimed = await send("POST", "/api/worker/claim", "-", { worker: "w", types: [type] });
    const { tasks } = (await claimed.json()) as { tasks: { lease: { token: string } }[] };
    const cancel = (key: string, at = server) =>
      send("POST", `/api/task/${id}/cancel`, key, undefined, at).then(factsOf);
    expect(await cancel("one")).toMatchObject({ status: 202, replayed: null });
    expect(await cancel("two")).toMatchObject({ status: 202, replayed: null });
    await send("POST", `/api/task/${id}/release`, "-", { token: tasks[0]?.lease.token });
    expect((await send("POST", `/api/task/${id}/retry`, "k")).status).toBe(200);
    expect(await cancel("two", peer)).toMatchObject({
      ...{ status: 202, replayed: "true", body: { status: "pending" } },
    });
  });

  test("the SDK's calls have the right answers in a runtime that sends each request twice", async () => {
    const twice = async (url: string, init: RequestInit): Promise<Response> => {
      await (await fetch(url, init)).text(); // its answer was lost with the connection
      return fetch(url.replace(server.url, peer.url), init);
    };
    const client = createClient(server.url, { fetch: twice });
    const { id } = await client.create({ name: "x", type: `repeated-${++types}` });
    await client.edit(id, { name: "y" }, { ifVersion: 1 });
    expect(await client.cancel(id)).toMatchObject({ status: "cancelled", version: 3 });
    expect(await client.retry(id)).toMatchObject({ status: "pending", version: 4 });
    await client.remove(id, { ifVersion: 4 });
    await expect(client.get(id)).rejects.toMatchObject({ code: "not_found" });
  });

  test("an invalid key is refused", async () => {
    const id = await add();
    await expectProblem(await send("POST", `/api/task/${id}/cancel`, "\u00e9"), {
      status: 400,
      code: "invalid",
    });
    expect((await see(id)).status).toBe("pending");
  });
});
