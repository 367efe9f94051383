/**
 * Tests of the SDK for every runtime, in JavaScript with web standards only: they run unchanged on Node.js, Bun, Deno, in
 * workerd and in browsers. `examine` resolves with a line for each case: "ok NAME", or "failed NAME: why".
 */

function expectEqual(actual, expected) {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (is !== should) throw new Error(`expected ${should}, got ${is}`);
}

const rejection = (call) =>
  call.then(
    (value) => ({ resolvedWith: value }),
    (error) => error,
  );

const nothing = () => undefined;
const silent = { isDebug: false, debug: nothing, info: nothing, warn: nothing, error: nothing };

/**
 * @param sdk the module "tasktrack"  @param url the server's  @param runtime a part of the types of its tasks, so that runtimes do
 * not share types
 */
const casesOf = ({ createClient, createWorker, TaskFailed, TaskTrackError, fail, snooze }, url, runtime) => {
  const client = createClient(url);
  const typeOf = (name) => `exam.${runtime}.${name}`;

  async function until(holds) {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  const work = (type, handler, options = {}) => {
    const worker = createWorker({
      url,
      log: silent,
      handlers: { [type]: handler },
      lease: "20s",
      ...options,
    });
    worker.start();
    return worker;
  };

  return {
    async "creates, reads, edits, cancels, retries, counts, lists and deletes"() {
      const type = typeOf("verbs");
      const { id, existing } = await client.create({
        name: "имя",
        type,
        payload: { n: 1 },
        delay: undefined,
      });
      expectEqual(existing, false);
      await client.edit(id, { name: "new" }, { ifVersion: 1, signal: undefined });
      expectEqual((await client.cancel(id)).status, "cancelled");
      expectEqual((await client.retry(id)).status, "pending");
      await client.createMany([
        { name: "a", type },
        { name: "b", type },
      ]);
      expectEqual(await client.count({ type }), 3);
      const names = [];
      for await (const { name } of client.list({ type, limit: 2 })) names.push(name);
      expectEqual(names, ["new", "a", "b"]);
      expectEqual((await client.bulk({ filter: { type }, action: "delete" })).count, 3);
      const error = await rejection(client.get(id));
      expectEqual([error instanceof TaskTrackError, error.code], [true, "not_found"]);
    },

    async "keeps every digit of a payload"() {
      const payloadText = '{"id":3889108265204450030, "2":1,"1":-0.0}';
      const type = typeOf("digits");
      const worker = work(type, async (task) => task.payloadText);
      const { result } = await client.run({ name: "digits", type, payloadText });
      expectEqual(result, payloadText);
      await worker.stop(0);
    },

    async "runs tasks, with progress and log lines, and reports their outcomes"() {
      const type = typeOf("work");
      const hostile = new Proxy({}, { has: () => true, get: () => hostile });
      const worker = work(type, async ({ payload }, { progress, log }) => {
        progress(50, "half way");
        log("a line", "warn");
        if (payload === "throws") throw new Error("broken");
        if (payload === "hostile") throw hostile;
        if (payload === "fails") return fail("no", { retryable: false });
        if (payload === "snoozes") return snooze("1h");
        return { got: payload };
      });
      const run = (payload) => rejection(client.run({ name: "work", type, payload, max_attempts: 1 }));
      const done = await run("good");
      expectEqual(done.resolvedWith.result, { got: "good" });
      expectEqual(
        (await client.log(done.resolvedWith.id)).map(({ level }) => level),
        ["warn"],
      );
      for (const payload of ["throws", "hostile", "fails"]) {
        const error = await run(payload);
        expectEqual([payload, error instanceof TaskFailed, error.code], [payload, true, "task_failed"]);
      }
      const { id } = await client.create({ name: "later", type, payload: "snoozes" });
      await until(async () => (await client.get(id)).attempts.length === 1);
      expectEqual((await client.get(id)).status, "pending");
      expectEqual(await worker.stop(0), 0);
    },

    async "stops work that is cancelled"() {
      const type = typeOf("cancel");
      // Progress causes a heartbeat each second, and its answer has the cancel request.
      const worker = work(type, async (_, { signal, progress }) => {
        await until(() => {
          progress(50);
          return signal.aborted;
        });
        throw signal.reason;
      });
      const { id } = await client.create({ name: "long", type });
      await until(async () => (await client.get(id)).status === "running");
      await client.cancel(id);
      expectEqual((await client.wait(id)).status, "cancelled");
      await worker.stop(0);
    },

    async "holds no task after its stop"() {
      const type = typeOf("stop");
      const worker = work(type, async () => null);
      await client.run({ name: "first", type });
      await worker.stop(0);
      const { id } = await client.create({ name: "second", type });
      await client.create({ name: "other", type: typeOf("other") });
      const { status, attempts } = await client.get(id);
      expectEqual([status, attempts], ["pending", []]);
    },

    async "watches until its signal aborts, or the loop is left"() {
      const type = typeOf("watch");
      const abort = new AbortController();
      const seen = [];
      const ids = new Set(); // events of deletions have no type, so they come for all tasks
      const watching = (async () => {
        const onConnection = (isConnected) => seen.push(isConnected);
        for await (const event of client.watch({ type, signal: abort.signal, onConnection })) {
          if (event.kind === "task") ids.add(event.task.id);
          if (event.kind === "task" || ids.has(event.id)) seen.push(event.kind);
        }
      })();
      await until(() => seen.length > 0);
      const { id } = await client.create({ name: "seen", type });
      await until(() => seen.length > 1);
      await client.remove(id);
      await until(() => seen.length > 2);
      abort.abort();
      await watching;
      expectEqual(seen, [true, "task", "deleted"]);
      const creating = setInterval(
        () => void client.create({ name: "seen", type }).catch(() => undefined),
        10,
      );
      for await (const _ of client.watch({ type })) break;
      clearInterval(creating);
    },

    async "throws what onConnection throws"() {
      const thrown = new Error("of the caller");
      const onConnection = () => {
        throw thrown;
      };
      const next = client.watch({ onConnection })[Symbol.asyncIterator]().next();
      expectEqual((await rejection(next)) === thrown, true);
    },

    async "ends a wait with its signal's reason"() {
      const { id } = await client.create({ name: "waits", type: typeOf("waits") });
      const abort = new AbortController();
      const waiting = rejection(client.wait(id, { signal: abort.signal }));
      await client.get(id);
      const reason = new Error("enough");
      abort.abort(reason);
      expectEqual((await waiting) === reason, true);
      expectEqual((await client.wait(id, { withinMs: 10 })).status, "pending");
    },

    async "reports that no server answers, and that a header cannot be sent"() {
      const absent = createClient("http://127.0.0.1:1", { retries: 0 });
      expectEqual((await rejection(absent.get(1))).code, "unreachable");
      let thrown = null;
      try {
        createClient(url, { headers: { "x-name": "имя" } });
      } catch (error) {
        thrown = error;
      }
      expectEqual(thrown instanceof TypeError, true);
    },

    async "survives a runtime that sends each request twice"() {
      const twice = async (target, init) => {
        await (await fetch(target, init)).text();
        return fetch(target, init);
      };
      const doubled = createClient(url, { fetch: twice });
      const { id } = await doubled.create({ name: "twice", type: typeOf("twice") });
      expectEqual((await doubled.cancel(id)).version, 2);
      expectEqual((await doubled.retry(id)).version, 3);
      await doubled.remove(id);
    },

    async "answers a hundred waits at once"() {
      const type = typeOf("crowd");
      const ids = await client.createMany(Array.from({ length: 100 }, () => ({ name: "waits", type })));
      const waits = Promise.all(ids.map((id) => client.wait(id)));
      await client.bulk({ filter: { type }, action: "cancel" });
      expectEqual(new Set((await waits).map(({ status }) => status)).size, 1);
    },
  };
};

export async function examine(sdk, url, runtime) {
  const lines = [];
  for (const [name, run] of Object.entries(casesOf(sdk, url, runtime))) {
    const why = await run().then(
      () => null,
      (error) => error,
    );
    lines.push(why === null ? `ok ${name}` : `failed ${name}: ${why?.stack ?? why}`);
  }
  return lines;
}
