/** The SDK's client with a whole server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createClient, TaskFailed, TaskTrackError, type WatchEvent } from "../../src/client/client.ts";
import { type RunningApp, startApp } from "../support/app.ts";
import { eventually } from "../support/eventually.ts";
import { freePort } from "../support/servers/runner.ts";

let server: RunningApp;
beforeAll(async () => {
  server = await startApp();
});
afterAll(() => server.stop());

const client = () => createClient(server.url);

const refusalOf = async (call: Promise<unknown>): Promise<TaskTrackError> => {
  const error: unknown = await call.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof TaskTrackError) return error;
  throw new Error(`no refusal but ${error}`);
};

describe("the client", () => {
  test("creates, reads, edits and removes a task", async () => {
    const { id, existing } = await client().create({ name: "one", description: "words" });
    expect(existing).toBe(false);
    expect(await client().get(id)).toMatchObject({ id, name: "one", description: "words" });
    await client().edit(id, { name: "another" });
    expect((await client().get(id)).name).toBe("another");
    await client().remove(id);
    expect(await refusalOf(client().get(id))).toMatchObject({ code: "not_found", status: 404 });
  });

  test("lists every task once, page by page", async () => {
    const created: number[] = [];
    for (let n = 0; n < 7; n++) created.push((await client().create({ name: `listed ${n}` })).id);
    const seen: number[] = [];
    for await (const task of client().list({ limit: 3 })) seen.push(task.id);
    expect(seen.filter((id) => created.includes(id))).toEqual(created);
    expect(new Set(seen).size).toBe(seen.length);
  });

  test("creates many at once, all or none", async () => {
    const ids = await client().createMany([
      { name: "a", type: "many" },
      { name: "b", type: "many" },
    ]);
    expect(ids).toHaveLength(2);
    const error = await refusalOf(client().createMany([{ name: "a", type: "none" }, { name: "" }]));
    expect(error.fields).toMatchObject([{ pointer: "/1/name" }]);
    expect(error.fieldsOmitted).toBe(0);
    const many = await refusalOf(client().createMany(Array.from({ length: 512 }, () => ({ name: "" }))));
    expect([many.fields.length, many.fieldsOmitted]).toEqual([100, 412]);
    expect((await client().page({ type: "none" })).tasks).toEqual([]);
  });

  test("sends all fields of a task, and reads them back", async () => {
    const spec = { payload: { a: [1] }, priority: 5, tags: ["x"], key: "only one", max_attempts: 7 };
    const run_at = new Date("2100-01-01T00:00:00.000Z");
    const { id, existing } = await client().create({
      name: "full",
      type: "full",
      timeout: "1m0s",
      run_at,
      ...spec,
    });
    expect(existing).toBe(false);
    expect(await client().get(id)).toMatchObject({ ...spec, run_at: run_at.toISOString(), timeout: "1m0s" });
    expect(await client().create({ name: "second", key: "only one" })).toEqual({ id, existing: true });
    await client().edit(id, { tags: ["y"], priority: 1 });
    expect(await client().get(id)).toMatchObject({ tags: ["y"], priority: 1 });
    expect((await client().page({ tag: "y", type: ["full"] })).tasks.map((task) => task.id)).toEqual([id]);
  });

  test("sends the text of a payload unchanged, and reads it with another parser", async () => {
    const payloadText = '{"id":3889108265204450030,"x":1e999, "2":1,"1":-0.0}';
    const spec = { name: "x", type: "idle", payloadText };
    const { id } = await client().create({ payload: "not this", ...spec });
    const [first = 0, second = 0] = await client().createMany([spec, { name: "x", type: "idle" }]);
    await client().edit(second, { payloadText });
    const texts: string[] = [];
    const own = createClient(server.url, { parse: (text) => JSON.parse(texts[texts.push(text) - 1] ?? "") });
    for (const each of [id, first, second]) await own.get(each);
    expect(texts.map((text) => text.includes(`,"payload":${payloadText},`))).toEqual([true, true, true]);
    const before = (await client().page({ type: "idle" })).tasks.length;
    for (const text of ["", "{", '1,"type":"other"']) {
      await expect(client().create({ name: "x", payloadText: text })).rejects.toThrow(TypeError);
      await expect(client().edit(id, { payloadText: text })).rejects.toThrow("payloadText: expected JSON");
    }
    expect((await client().page({ type: "idle" })).tasks).toHaveLength(before);
  });

  test("counts the tasks of a filter, and reads pages without payloads", async () => {
    const ids = await client().createMany(
      ["a", "b", "c"].map((name) => ({ name, type: "counted", payload: { long: name } })),
    );
    expect(await client().count({ type: "counted" })).toBe(3);
    expect(await client().count({ type: "counted", status: "done" })).toBe(0);
    const { tasks, next } = await client().statePage({ type: "counted", limit: 2 });
    expect(tasks.map((task) => [task.id, "payload" in task, "result" in task])).toEqual(
      ids.slice(0, 2).map((id) => [id, false, false]),
    );
    const rest = await client().statePage({ type: "counted", cursor: next ?? "" });
    expect(rest.tasks.map(({ id }) => id)).toEqual(ids.slice(2));
  });

  test("cancels and retries; a task with another version stays unchanged", async () => {
    const { id } = await client().create({ name: "on and off", type: "waits" });
    expect(await client().cancel(id)).toMatchObject({ id, status: "cancelled" });
    expect((await refusalOf(client().cancel(id))).code).toBe("wrong_status");
    expect((await refusalOf(client().retry(id, { ifVersion: 99 }))).code).toBe("version_mismatch");
    expect(await client().retry(id)).toMatchObject({ id, status: "pending" });
    expect((await refusalOf(client().remove(id, { ifVersion: 99 }))).status).toBe(412);
    expect(await client().log(id)).toEqual([]);
  });

  test("explains a task and returns statistics", async () => {
    const { id } = await client().create({ name: "why", type: "absent.type" });
    expect(await client().explain(id)).toMatchObject({ id, status: "pending", reason: "no_worker" });
    expect(Object.keys(await client().stats()).length).toBeGreaterThan(0);
  });

  test("previews and runs a bulk action", async () => {
    for (const name of ["one", "two", "three"]) await client().create({ name, type: "bulk" });
    const request = { filter: { type: "bulk" }, action: "cancel" } as const;
    const preview = await client().bulkPreview(request);
    expect(preview).toMatchObject({ count: 3, dry_run: true });
    expect(await client().bulk({ ...request, up_to_id: preview.up_to_id })).toMatchObject({
      count: 3,
      refused: 0,
    });
    expect((await client().page({ type: "bulk", status: "cancelled" })).tasks).toHaveLength(3);
    expect((await refusalOf(client().bulk({ filter: {}, action: "delete" }))).status).toBe(400);
  });

  test("runs a task to its end and shows its progress", async () => {
    const shown: string[] = [];
    const task = await client().run({ name: "run" }, { onProgress: ({ status }) => shown.push(status) });
    expect(task).toMatchObject({ status: "done", result: { simulated: expect.any(String) } });
    expect(shown.at(-1)).toBe("done");
  });

  test("throws TaskFailed, with the task, for one that failed", async () => {
    const failing = await startApp({ SIMULATE_FAILURE_RATE: "1" });
    const error = await refusalOf(createClient(failing.url).run({ name: "doomed" }));
    await failing.stop();
    expect(error).toBeInstanceOf(TaskFailed);
    expect((error as TaskFailed).task).toMatchObject({
      status: "failed",
      error: { code: "simulated_failure" },
    });
  });

  test("waits for the given time at most, and returns the task", async () => {
    const slow = await startApp({ SIMULATE_MIN: "1m", SIMULATE_MAX: "1m" });
    const { id } = await createClient(slow.url).create({ name: "slow" });
    expect((await createClient(slow.url).wait(id, { withinMs: 50 })).finished_at).toBeNull();
    const abort = new AbortController();
    const waiting = createClient(slow.url).wait(id, { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await slow.stop();
  });

  test("reports the invalid fields and the id of the request", async () => {
    const error = await refusalOf(client().create({ name: "" }));
    expect(error).toMatchObject({ code: "invalid", status: 400, fields: [{ pointer: "/name" }] });
    expect(error.requestId).not.toBeNull();
  });

  test("reports after its retries that the server does not answer", async () => {
    const gone = await startApp();
    await gone.stop();
    const error = await refusalOf(createClient(gone.url, { retries: 1 }).get(1));
    expect(error).toMatchObject({ code: "unreachable", status: 0, requestId: null });
  });

  test.each(["localhost:8080", "ftp://localhost", ""])("refuses %p as an address", (url) => {
    expect(() => createClient(url)).toThrow(TypeError);
  });
});

/** A `fetch` with faults of a network. */
const flaky = (faults: readonly ("refused" | "lost" | "busy")[]) => {
  const left = [...faults];
  const sent: { readonly method: string; readonly key: string | null }[] = [];
  const through = async (url: string, init: RequestInit): Promise<Response> => {
    sent.push({ method: init.method ?? "", key: new Headers(init.headers).get("idempotency-key") });
    const fault = left.shift();
    if (fault === "refused") throw new TypeError("connection refused");
    if (fault === "busy") return new Response("{}", { status: 503, headers: { "retry-after": "0" } });
    const response = await fetch(url, init);
    if (fault === "lost") throw new TypeError("connection reset");
    return response;
  };
  return { fetch: through, sent };
};

describe("waiting", () => {
  test("resolves with the task in any ended status", async () => {
    const { id } = await client().create({ name: "ends", type: "absent" });
    const waiting = client().wait(id);
    await client().cancel(id);
    expect(await waiting).toMatchObject({ id, status: "cancelled" });
  });

  test("resolves with the task when the time is over", async () => {
    const { id } = await client().create({ name: "stays", type: "absent" });
    expect(await client().wait(id, { withinMs: 20 })).toMatchObject({ id, status: "pending" });
  });
});

describe("over a bad network", () => {
  test("a create is sent again under the same idempotency key", async () => {
    const network = flaky(["refused", "busy"]);
    await createClient(server.url, { fetch: network.fetch }).create({ name: "again" });
    expect(network.sent).toHaveLength(3);
    expect(new Set(network.sent.map(({ key }) => key)).size).toBe(1);
    expect(network.sent[0]?.key).not.toBeNull();
  });

  test("a create whose first answer was lost has created one task", async () => {
    const { fetch } = flaky(["lost"]);
    const { id } = await createClient(server.url, { fetch }).create({ name: "single", type: "single" });
    expect((await client().page({ type: "single" })).tasks.map((task) => task.id)).toEqual([id]);
  });

  test("a cancel and a retry whose first answers were lost have happened once", async () => {
    const { id } = await client().create({ name: "once", type: "once" });
    const cancelled = await createClient(server.url, { fetch: flaky(["lost"]).fetch }).cancel(id);
    expect(cancelled).toMatchObject({ status: "cancelled", version: 2 });
    // the first request of a retry reads the task
    const losing = flaky([]);
    let requests = 0;
    const fetchIt = async (url: string, init: RequestInit) => {
      const response = await losing.fetch(url, init);
      if (++requests === 2) throw new TypeError("connection reset");
      return response;
    };
    const retried = await createClient(server.url, { fetch: fetchIt }).retry(id);
    expect(retried).toMatchObject({ status: "pending", version: 3 });
  });

  test("a delete whose first answer was lost has deleted", async () => {
    const { id } = await client().create({ name: "gone" });
    await createClient(server.url, { fetch: flaky(["lost"]).fetch }).remove(id);
    expect((await refusalOf(client().get(id))).code).toBe("not_found");
  });

  test("a delete of a task that never existed is refused", async () => {
    expect((await refusalOf(client().remove(999_999))).code).toBe("not_found");
  });

  test("a refusal is not sent again", async () => {
    const network = flaky([]);
    await refusalOf(createClient(server.url, { fetch: network.fetch }).get(999_999));
    expect(network.sent).toHaveLength(1);
  });
});

describe("watching", () => {
  const collect = (url: string, signal: AbortSignal, since?: string) => {
    const events: WatchEvent[] = [];
    const watching = (async () => {
      for await (const event of createClient(url).watch(
        since === undefined ? { signal } : { signal, since },
      )) {
        events.push(event);
      }
    })();
    return { events, watching };
  };

  test("yields ends and deletions, resumes from the id of an event, and ends with its signal", async () => {
    const abort = new AbortController();
    const { events, watching } = collect(server.url, abort.signal);
    const { id } = await client().run({ name: "first" });
    const probe = () => client().create({ name: "probe" });
    await eventually(probe, () => events.length > 0); // the stream begins with the next change, so the test makes changes
    const place = events.at(-1)?.eventId ?? "";
    await client().remove(id);
    await eventually(
      () => events,
      (seen) => seen.some((event) => event.kind === "deleted" && event.id === id),
    );
    abort.abort();
    await watching;

    const again = new AbortController();
    const resumed = collect(server.url, again.signal, place);
    await eventually(
      () => resumed.events,
      (seen) => seen.some((event) => event.kind === "deleted" && event.id === id),
    );
    again.abort();
    await resumed.watching;
  });

  test("reconnects after an outage, and reports a reset", async () => {
    const port = String(await freePort());
    const first = await startApp({ HTTP_PORT: port });
    const abort = new AbortController();
    const { events, watching } = collect(first.url, abort.signal);
    await eventually(
      () => createClient(first.url).create({ name: "before" }),
      () => events.length > 0,
    );
    await first.stop();
    const second = await startApp({ HTTP_PORT: port });
    await eventually(
      () => events,
      (seen) => seen.some(({ kind }) => kind === "reset"),
    );
    abort.abort();
    await watching;
    await second.stop();
  });

  test("reports when it is connected, misses no later change, and reports when the connection is lost", async () => {
    const first = await startApp();
    const abort = new AbortController();
    const reported: (boolean | string)[] = [];
    const watching = (async () => {
      const onConnection = (isConnected: boolean): void => void reported.push(isConnected);
      for await (const event of createClient(first.url).watch({ signal: abort.signal, onConnection })) {
        if (event.kind === "task") reported.push(event.task.status);
      }
    })();
    await eventually(
      () => reported,
      ([connected]) => connected === true,
    );
    await createClient(first.url).create({ name: "only once", type: "absent" });
    await eventually(
      () => reported,
      ([, status]) => status === "pending",
    );
    await first.stop();
    await eventually(
      () => reported,
      (all) => all[2] === false,
    );
    abort.abort();
    await watching;
    expect(reported.slice(0, 3)).toEqual([true, "pending", false]);
  });

  test("is refused for an invalid query", async () => {
    const iterator = client().watch({ type: "a b" })[Symbol.asyncIterator]();
    expect((await refusalOf(Promise.resolve(iterator.next()))).code).toBe("invalid");
  });
});
