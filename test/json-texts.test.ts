/** Payloads and results keep the text that was sent, byte for byte, on every store and through every route. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { elementsOf, memberOf, startOf } from "../src/core/json-text.ts";
import { type RunningApp, startApp } from "./support/app.ts";
import { jsonTexts } from "./support/json-texts.ts";
import { expectProblem } from "./support/problem.ts";
import { sharedPostgres, sharedRedis } from "./support/servers/shared.ts";
import { uniqueName } from "./support/stores.ts";

const folder = mkdtempSync(join(tmpdir(), "tasktrack-json-"));
afterAll(() => rmSync(folder, { recursive: true }));

const name = uniqueName("json");
const STORES: readonly (readonly [name: string, url: string])[] = [
  ["memory", "memory:"],
  ["SQLite", `sqlite:${join(folder, "tasks.db")}`],
  ["PostgreSQL", `${sharedPostgres()}?schema=${name}`],
  ["Redis", `${sharedRedis()}?prefix=${name}`],
];
const RUNS = 40;

const KEPT = '{"id":3889108265204450030,"x":1e999, "2":1,\n"10":-0.0,"10":[ ]}';

/** The text of a member in an answer. */
const written = (text: string, object: number, member: string): string => {
  const span = memberOf(text, object, member);
  return span === null ? "is missing" : text.slice(span.start, span.end);
};

describe.each(STORES)("on %s", (_, url) => {
  let server: RunningApp;
  beforeAll(async () => {
    server = await startApp({ STORE_URL: url, ROLE: "api" });
  });
  afterAll(() => server.stop());

  async function send(
    method: string,
    path: string,
    body?: string,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    const init =
      body === undefined ? {} : { body, headers: { "content-type": "application/json", ...headers } };
    return fetch(server.url + path, { method, ...init });
  }
  const answer = async (method: string, path: string, body?: string): Promise<string> => {
    const response = await send(method, path, body);
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text;
  };
  const create = async (body: string): Promise<number> =>
    JSON.parse(await answer("POST", "/api/task", body)).task_id;
  const read = async (id: number, member: string): Promise<string> => {
    const text = await answer("GET", `/api/task/${id}`);
    JSON.parse(text);
    return written(text, startOf(text), member);
  };
  /** Claims all tasks of the type; returns their tokens and the texts of their payloads. */
  async function claim(type: string): Promise<{ id: number; token: string; payload: string }[]> {
    const text = await answer(
      "POST",
      "/api/worker/claim",
      JSON.stringify({ worker: "w", types: [type], max: 9 }),
    );
    const tasks = JSON.parse(text).tasks as { id: number; lease: { token: string } }[];
    const list = memberOf(text, startOf(text), "tasks")?.start ?? 0;
    return elementsOf(text, list).map(({ start }, at) => ({
      id: tasks[at]?.id ?? 0,
      token: tasks[at]?.lease.token ?? "",
      payload: written(text, start, "payload"),
    }));
  }

  test("any payload and any result are returned as they were sent", async () => {
    await fc.assert(
      fc.asyncProperty(jsonTexts, jsonTexts, jsonTexts, async (one, two, three) => {
        const type = uniqueName("t");
        const first = await create(`{"name":"x","payload":${one},"type":"${type}"}`);
        expect(await read(first, "payload")).toBe(one);
        await answer("PATCH", `/api/task/${first}`, `{"payload" : ${two} }`);
        expect(await read(first, "payload")).toBe(two);
        const many = `[{"payload":${one},"name":"a","type":"${type}"}, {"name":"b","type":"${type}"},
          {"name":"c","type":"${type}","payload":1,"p\\u0061yload":${three}}]`;
        const { task_ids } = JSON.parse(await answer("POST", "/api/task", many)) as { task_ids: number[] };
        const ids = [first, ...task_ids];
        const listed = await answer("GET", `/api/task?type=${type}&view=full`);
        const payloads = elementsOf(listed, startOf(listed)).map((span) =>
          written(listed, span.start, "payload"),
        );
        expect(payloads).toEqual([two, one, "null", three]);

        const claimed = await claim(type);
        expect(claimed.map(({ id, payload }) => [id, payload])).toEqual(
          ids.map((id, at) => [id, payloads[at] ?? ""]),
        );
        const [alone, ...others] = claimed;
        await answer(
          "POST",
          `/api/task/${alone?.id}/complete`,
          `{"result":${one},"token":"${alone?.token}"}`,
        );
        const results = [two, "null", three];
        const ends = others.map(
          ({ id, token }, at) => `{"id":${id},"result": ${results[at]},"token":"${token}"}`,
        );
        await answer("POST", "/api/worker/complete", `{"tasks":[1],"tasks":[${ends.join()}]}`);
        expect(await Promise.all(ids.map((id) => read(id, "result")))).toEqual([one, ...results]);
        expect(await Promise.all(ids.map((id) => read(id, "payload")))).toEqual(payloads);
      }),
      { numRuns: RUNS },
    );
  });

  test("a body that differs from the first in one digit, or in the order of its keys, is another request", async () => {
    const key = { "idempotency-key": uniqueName("k") };
    const body = `{"name":"x","payload":${KEPT}}`;
    const first = await send("POST", "/api/task", body, key);
    expect(first.status).toBe(201);
    const again = await send("POST", "/api/task", body, key);
    expect([again.status, again.headers.get("idempotent-replayed")]).toEqual([201, "true"]);
    expect(await again.text()).toBe(await first.text());
    for (const other of [
      body.replace("030", "031"),
      body.replace("1e999", "2e999"),
      `{"payload":${KEPT},"name":"x"}`,
    ]) {
      await expectProblem(await send("POST", "/api/task", other, key), {
        status: 422,
        code: "idempotency_mismatch",
      });
    }
  });

  test("a payload that is null, or that a later key makes null, is stored as no payload", async () => {
    for (const members of [
      '"payload":null',
      '"payload":[1],"payload":null',
      '"payload":[1],"p\\u0061yload": null',
    ]) {
      expect(await read(await create(`{"name":"x",${members}}`), "payload")).toBe("null");
    }
  });

  test("texts of a task that look like JSON members change nothing", async () => {
    const lookalike = JSON.stringify('","payload":null,"result":null,"');
    const id = await create(
      `{"name":${lookalike},"description":${lookalike},"tags":[${lookalike}],"key":${lookalike},"payload":${lookalike}}`,
    );
    expect(await read(id, "payload")).toBe(lookalike);
    expect(await read(id, "name")).toBe(lookalike);
    expect(await read(id, "result")).toBe("null");
  });

  test("a search for a number in the payload finds it as it was written", async () => {
    const type = uniqueName("t");
    const id = await create(`{"name":"x","type":"${type}","payload":${KEPT}}`);
    const find = async (q: string): Promise<number[]> =>
      JSON.parse(await answer("GET", `/api/task?type=${type}&q=${encodeURIComponent(q)}`)).map(
        (task: { id: number }) => task.id,
      );
    expect(await find("payload.id:3889108265204450030")).toEqual([id]);
    expect(await find("payload.id:3889108265204450000")).toEqual([]);
    expect(await find("payload.x:1e999")).toEqual([id]);
  });
});
