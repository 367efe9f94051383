/** A session of a user with this store and this broker: every call once, workers, events, and a restart. */
import { expect } from "bun:test";
import { Consumer, Producer } from "@platformatic/kafka";
import type { TaskEvent } from "../../src/broker/event-output.ts";
import { createClient, createWorker } from "../../src/client/client.ts";
import { startApp } from "./app.ts";
import { eventually } from "./eventually.ts";

/** Returns the store of /readyz. */
export async function liveSession(env: {
  readonly STORE_URL: string;
  readonly QUEUE_URL?: string;
}): Promise<string> {
  const first = await startApp(env);
  const client = createClient(first.url);
  const { store, broker } = await client.ready();

  const changed = new Set<number>();
  const watching = new AbortController();
  const watched = (async () => {
    for await (const event of client.watch({ signal: watching.signal })) {
      if (event.kind === "task") changed.add(event.task.id);
    }
  })();

  const done = await client.run({ name: "simulated" });
  expect(done.status).toBe("done");
  const keyed = await client.create({
    name: "keyed",
    type: "held",
    key: "k",
    payload: { large: "9007199254740993" },
  });
  expect(await client.create({ name: "again", type: "held", key: "k" })).toEqual({
    id: keyed.id,
    existing: true,
  });
  const ids = await client.createMany(
    [1, 2, 3].map((n) => ({ name: `batch ${n}`, type: "job", payload: { n } })),
  );

  const worker = createWorker({
    url: first.url,
    handlers: {
      job: async ({ payload }, { log, progress }) => {
        log(`payload ${JSON.stringify(payload)}`);
        progress(50, "half");
        return payload;
      },
    },
  });
  worker.start();
  for (const [at, id] of ids.entries()) {
    expect(await client.wait(id)).toMatchObject({ status: "done", result: { n: at + 1 } });
  }
  await worker.stop();
  const lines = await client.log(ids[0] ?? 0);
  expect(lines.map(({ message }) => message)).toEqual(['payload {"n":1}']);

  await client.edit(keyed.id, { name: "edited", priority: 5 });
  expect(await client.cancel(keyed.id)).toMatchObject({ status: "cancelled", name: "edited" });
  expect(await client.retry(keyed.id)).toMatchObject({ status: "pending", priority: 5 });
  expect(await client.count({ status: "done" })).toBe(4);
  const found = await Array.fromAsync(client.list({ q: "batch" }));
  expect(found.map(({ id }) => id)).toEqual([...ids]);
  await client.remove(done.id);
  await eventually(
    () => changed,
    (seen) => [keyed.id, ...ids].every((id) => seen.has(id)),
  );
  watching.abort();
  await watched;
  if (env.QUEUE_URL !== undefined) {
    expect(broker?.state).toBe("up");
    await throughKafka(new URL(env.QUEUE_URL).host);
  }
  await first.stop();

  const second = await startApp(env);
  const again = createClient(second.url);
  expect(await again.get(keyed.id)).toMatchObject({ name: "edited", status: "pending" });
  const next = await again.create({ name: "after the restart", type: "held" });
  expect(next.id).toBeGreaterThan(Math.max(...ids));
  await second.stop();
  return store;
}

/** A message creates a task, and its events are published. */
async function throughKafka(host: string): Promise<void> {
  const producer = new Producer({ clientId: "test", bootstrapBrokers: [host] });
  const consumer = new Consumer({ clientId: "consumer", groupId: "consumer", bootstrapBrokers: [host] });
  const received: TaskEvent[] = [];
  const stream = await consumer.consume({ topics: ["tasktrack.events"], mode: "earliest" });
  stream.on("data", ({ value }) => received.push(JSON.parse(value.toString()) as TaskEvent)); // in the form of the event output
  const value = Buffer.from('{"name":"by Kafka"}');
  await producer.send({ messages: [{ topic: "tasktrack.submit", value }], acks: -1 });
  const outcomes = () => received.filter(({ event }) => event === "task.done").map(({ id }) => id);
  await eventually(outcomes, (ids) => new Set(ids).size >= 5); // four tasks that were created over HTTP, and this one
  await consumer.close(true);
  await producer.close();
}
