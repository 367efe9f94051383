/** Submissions and events on a real RabbitMQ. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { type AsyncMessage, Connection } from "rabbitmq-client";
import { createManualClock } from "../../../test/support/clock.ts";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { createRabbitmq, type RabbitmqServer } from "../../../test/support/servers/rabbitmq.ts";
import { sharedRabbitmq } from "../../../test/support/servers/shared.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { TaskEvent } from "../event-output.ts";
import { namesUnder } from "../names.ts";
import type { Submission, SubmissionResult, Submit } from "../submissions.ts";
import { openRabbitmqBroker } from "./broker.ts";
import { createRabbitmqEventOutput } from "./event-output.ts";
import { createRabbitmqSubmissions } from "./submissions.ts";

/**
 * RabbitMQ 3.10 may break a connection that publishes to a quorum queue which was declared a moment ago. So before the tests these
 * queues are declared, and each accepts a message. Between tests they are emptied and not deleted.
 */
async function prepareQueues(url: string): Promise<void> {
  const names = namesUnder("tasktrack");
  for (const queue of [names.submissions, names.rejections]) {
    const prepare = async (): Promise<boolean> => {
      const connection = new Connection({ url, acquireTimeout: 2_000 });
      connection.on("error", () => undefined); // tried again on another connection
      try {
        await connection.queueDeclare({ queue, durable: true, arguments: { "x-queue-type": "quorum" } });
        await connection.createPublisher({ confirm: true }).send({ routingKey: queue }, "first");
        return true;
      } catch {
        return false;
      } finally {
        connection.unsafeDestroy();
      }
    };
    await eventually(prepare, (isPrepared) => isPrepared);
  }
}

await prepareQueues(sharedRabbitmq());
const connection = new Connection({ url: sharedRabbitmq(), acquireTimeout: 2_000 });
await connection.onConnect(10_000);

const SIGNAL = new AbortController().signal;
const ACCEPTED: SubmissionResult = { kind: "accepted" };

beforeEach(async () => {
  for (const queue of ["tasktrack.submit", "tasktrack.rejected"]) {
    await connection.queuePurge({ queue }).catch(() => undefined); // it may not exist
  }
});

/** Submissions that are ready, and those that were delivered. */
async function openSubmissions(submit: Submit = async () => ACCEPTED) {
  const seen: Submission[] = [];
  const submissions = createRabbitmqSubmissions({
    publishing: connection,
    listening: connection,
    names: namesUnder("tasktrack"),
    clock: systemClock,
    log: createTestLog(),
  });
  submissions.consume((submission) => {
    seen.push(submission);
    return submit(submission);
  });
  const isThere = () =>
    lengthOf("tasktrack.submit").then(
      () => true,
      () => false,
    );
  await eventually(isThere, (there) => there);
  return { submissions, seen, texts: () => seen.map(({ body }) => Buffer.from(body).toString()) };
}

const lengthOf = async (queue: string): Promise<number> =>
  (await connection.queueDeclare({ queue, passive: true })).messageCount;

const publisher = connection.createPublisher({ confirm: true });
afterAll(async () => {
  await publisher.close();
  await connection.close();
});

const send = (body: string | Buffer, more: { messageId?: string; contentType?: string } = {}) =>
  publisher.send({ routingKey: "tasktrack.submit", durable: true, ...more }, Buffer.from(body));

test("a message is delivered with its bytes and its id, whatever its content type", async () => {
  const x = await openSubmissions();
  await send('{"name":"a"}', { messageId: "m1", contentType: "application/json" });
  await send('{"name":"b"}', { contentType: "text/plain" });
  await send('{"name":"c"}');
  await send("{", { contentType: "application/json" });
  await eventually(x.texts, (texts) => texts.length === 4);
  expect(x.texts()).toEqual(['{"name":"a"}', '{"name":"b"}', '{"name":"c"}', "{"]);
  expect(x.seen.map(({ key }) => key)).toEqual(["m1", null, null, null]);
  await x.submissions.close();
});

test("the exchange accepts every routing key", async () => {
  const x = await openSubmissions();
  await eventually(
    () =>
      publisher
        .send({ exchange: "tasktrack.submit", routingKey: "any.thing" }, Buffer.from("1"))
        .then(x.texts),
    (texts) => texts.includes("1"),
  );
  await x.submissions.close();
});

test("a message is acknowledged after it was submitted, and delivered again if it was not", async () => {
  const gate = Promise.withResolvers<SubmissionResult>();
  const first = await openSubmissions(() => gate.promise);
  await send("1");
  await eventually(first.texts, (texts) => texts.length === 1);
  const closing = first.submissions.close();
  gate.reject(new Error("closing"));
  await closing;
  const second = await openSubmissions();
  await eventually(second.texts, (texts) => texts.includes("1"));
  await second.submissions.close();
  expect(await lengthOf("tasktrack.submit")).toBe(0);
});

test("a rejected message is published with its problem, and delays no other message", async () => {
  const problem = JSON.stringify({ status: 400, code: "invalid" });
  const x = await openSubmissions(async ({ body }) =>
    Buffer.from(body).toString() === "bad" ? { kind: "rejected", problem } : ACCEPTED,
  );
  for (const body of ["good", "bad", "good"]) await send(body, { messageId: `is ${body}` });
  await eventually(
    () => lengthOf("tasktrack.rejected").catch(() => 0),
    (length) => length === 1,
  );
  const message = await connection.basicGet({ queue: "tasktrack.rejected", noAck: true });
  expect(message?.body).toEqual({
    problem: { status: 400, code: "invalid" },
    ...{ key: "is bad", encoding: "utf-8", truncated: false, body: "bad" },
  });
  await x.submissions.close();
  expect(await lengthOf("tasktrack.submit")).toBe(0);
});

test("events are in order, and their routing keys have the event and the type", async () => {
  const output = createRabbitmqEventOutput(connection, namesUnder("tasktrack"));
  const event = (id: number, version: number, type: string | null): TaskEvent => ({
    ...{ event: "task.done", id, type, status: "done", version },
  });
  await output.publish([event(0, 1, "x")], SIGNAL); // declares the exchange
  const seen: AsyncMessage[] = [];
  const consumer = connection.createConsumer(
    {
      queueOptions: { exclusive: true },
      queueBindings: [{ exchange: "tasktrack.events", routingKey: "task.done.#" }],
    },
    (message) => void seen.push(message),
  );
  await new Promise<void>((resolve) => consumer.on("ready", () => resolve()));
  const events = Array.from({ length: 1_000 }, (_, n) =>
    event(1, n + 1, n % 2 === 0 ? "video.encode" : null),
  );
  await output.publish(events, SIGNAL);
  await eventually(
    () => seen.length,
    (count) => count === 1_000,
  );
  expect(seen.map(({ body }) => body as TaskEvent)).toEqual(events);
  expect(seen[0]).toMatchObject({
    routingKey: "task.done.video.encode",
    messageId: "1.1.task.done",
    durable: true,
  });
  expect(seen[1]).toMatchObject({ routingKey: "task.done", type: "task.done" });
  await consumer.close();
  await output.close();
});

test("nothing is published after the signal has aborted", async () => {
  const output = createRabbitmqEventOutput(connection, namesUnder("tasktrack"));
  const event: TaskEvent = { event: "task.done", id: 1, type: "t", status: "done", version: 1 };
  expect(output.publish([event], AbortSignal.abort())).rejects.toThrow("given up");
  await output.close();
});

test("a message is delivered as it was sent: numbers of many digits, keys in their order, bytes that are not UTF-8", async () => {
  const x = await openSubmissions();
  const texts = ['{"b":12345678901234567890, "a":1e999, "a":[1.0]}', "\ufeff{}", '"\\ud800"'];
  for (const text of texts) await send(text, { contentType: "application/json" });
  for (const contentType of ["text/plain", "application/json"])
    await send(Buffer.from([0x22, 0xff, 0x22]), { contentType });
  await eventually(
    () => x.seen.length,
    (count) => count === 5,
  );
  expect(x.texts().slice(0, 3)).toEqual(texts);
  for (const { body } of x.seen.slice(3)) expect([...body]).toEqual([0x22, 0xff, 0x22]);
  await x.submissions.close();
});

test("JSON that is nested too deeply to be written again is delivered once", async () => {
  const x = await openSubmissions();
  const deep = "[".repeat(200_000) + "]".repeat(200_000);
  await send(deep, { contentType: "application/json" });
  await send("1");
  await eventually(x.texts, (texts) => texts.includes("1"));
  expect(x.texts()).toEqual([deep, "1"]);
  await x.submissions.close();
  expect(await lengthOf("tasktrack.submit")).toBe(0);
});

test("a queue that is declared otherwise shows in the log and in the broker's state, until it is deleted", async () => {
  const prefix = `otherwise-${crypto.randomUUID()}`;
  const queue = `${prefix}.submit`;
  await connection.queueDeclare({ queue, durable: true, arguments: { "x-queue-type": "classic" } });
  const log = createTestLog();
  const broker = openRabbitmqBroker(`${sharedRabbitmq()}?prefix=${prefix}`, { clock: systemClock, log });
  const submitted = Promise.withResolvers<void>();
  broker.submissions.consume(async () => {
    submitted.resolve();
    return ACCEPTED;
  });
  await eventually(broker.state, (state) => state === "no_submissions");
  const warnings = log.logged.filter(({ event }) => event === "submissions_interrupted");
  expect(warnings.map(({ fields }) => fields.error)).toEqual([expect.stringContaining("inequivalent arg")]);

  await connection.queueDelete({ queue });
  await eventually(broker.state, (state) => state === "up");
  const publisher = connection.createPublisher({ confirm: true });
  await publisher.send({ exchange: queue }, "{}");
  await publisher.close();
  await submitted.promise;
  await broker.submissions.close();
  await broker.close();
  await connection.queueDelete({ queue });
  await connection.queueDelete({ queue: `${prefix}.rejected` });
});

test("a message whose id is not plain text is rejected like any other", async () => {
  const x = await openSubmissions(async () => ({
    kind: "rejected",
    problem: JSON.stringify({ status: 400 }),
  }));
  await send("1", { messageId: "\u{1f600}".repeat(63) });
  await eventually(
    () => lengthOf("tasktrack.rejected").catch(() => 0),
    (length) => length === 1,
  );
  const message = await connection.basicGet({ queue: "tasktrack.rejected", noAck: true });
  expect(message?.body).toMatchObject({ key: "\u{1f600}".repeat(63), body: "1" });
  expect(message?.messageId).toBeUndefined();
  await x.submissions.close();
});

test("a rejection that cannot be published is tried again after a pause, and its message is returned when the process stops", async () => {
  const names = { ...namesUnder("tasktrack"), rejections: `own-${crypto.randomUUID()}` };
  const clock = createManualClock();
  let pauses = 0;
  const waits = {
    ...clock,
    after: (ms: number, run: () => void) => {
      pauses++;
      return clock.after(ms, run);
    },
  };
  await connection.queueDeclare({ queue: names.rejections, exclusive: true }); // not as TaskTrack declares it
  let submits = 0;
  const submissions = createRabbitmqSubmissions({
    ...{ publishing: connection, listening: connection, names, clock: waits, log: createTestLog() },
  });
  submissions.consume(async () => {
    submits++;
    return { kind: "rejected", problem: "{}" };
  });
  await eventually(
    () => lengthOf(names.submissions).catch(() => -1),
    (length) => length === 0,
  );
  for (const body of ["bad", "worse"]) {
    await publisher.send({ routingKey: names.submissions, durable: true }, Buffer.from(body));
  }
  await eventually(
    () => pauses,
    (count) => count === 2,
  );
  await clock.advance(1_000);
  await eventually(
    () => pauses,
    (count) => count === 4,
  );
  expect(submits).toBe(2);
  await submissions.close();
  await eventually(
    () => lengthOf(names.submissions),
    (length) => length === 2,
  );
});

describe("a server that accepts only short messages", () => {
  let server: RabbitmqServer;
  let own: Connection;
  beforeAll(async () => {
    server = await createRabbitmq(["max_message_size = 1500"]);
    await server.start();
    await prepareQueues(server.url);
    own = new Connection({ url: server.url, acquireTimeout: 5_000 });
    own.on("error", () => undefined); // the failed publication reports it
    await own.onConnect(30_000);
  });
  afterAll(async () => {
    own.unsafeDestroy();
    await server.remove();
  });

  test("gets a rejection that is too large without its body, and the others unchanged", async () => {
    const log = createTestLog();
    const names = namesUnder("tasktrack");
    for (const queue of [names.submissions, names.rejections]) await own.queuePurge({ queue });
    const submissions = createRabbitmqSubmissions({
      ...{ publishing: own, listening: own, names, clock: systemClock, log },
    });
    const detail = "x".repeat(100);
    submissions.consume(async () => ({ kind: "rejected", problem: JSON.stringify({ status: 400, detail }) }));
    const ownLength = async (queue: string): Promise<number> =>
      (await own.queueDeclare({ queue, passive: true })).messageCount;
    const sender = own.createPublisher({ confirm: true });
    const bodies = ["a", "b".repeat(1_400), "c"];
    for (const body of bodies)
      await sender.send({ routingKey: names.submissions, durable: true }, Buffer.from(body));
    const found = new Set<string>(); // a rejection that was sent together with the long one may be published twice
    const next = async (): Promise<number> => {
      const message = await own.basicGet({ queue: names.rejections, noAck: true });
      if (message) found.add((message.body as { readonly body: string }).body);
      return found.size;
    };
    await eventually(next, (count) => count === 3);
    expect([...found].toSorted()).toEqual(["", "a", "c"]);
    expect(log.events).toContain("rejection_too_large");
    await sender.close();
    await submissions.close();
    expect(await ownLength(names.submissions)).toBe(0);
  });

  test("messages that are unfinished when the connection breaks are delivered again on the next connection, without a pause", async () => {
    const names = { ...namesUnder("tasktrack"), rejections: "not-to-be-used-yet" };
    const other = new Connection({ url: server.url });
    await other.queueDeclare({ queue: names.rejections, exclusive: true }); // deleted with its connection
    const clock = createManualClock(); // does not move
    const log = createTestLog();
    let submits = 0;
    const submissions = createRabbitmqSubmissions({
      ...{ publishing: own, listening: own, names, clock, log },
    });
    submissions.consume(async () => {
      submits++;
      return { kind: "rejected", problem: "{}" };
    });
    const sender = own.createPublisher({ confirm: true });
    await sender.send({ routingKey: names.submissions, durable: true }, Buffer.from("bad"));
    await eventually(
      () => log.events,
      (events) => events.includes("rejections_wait"),
    );
    expect(submits).toBe(1);
    // Deleted before the messages are delivered again: their rejections would fail once more.
    other.unsafeDestroy();
    const witness = new Connection({ url: server.url });
    await eventually(
      () => witness.queueDeclare({ queue: names.rejections, passive: true }).then(() => "declared", String),
      (answer) => answer.includes("NOT_FOUND"),
    );
    witness.unsafeDestroy();
    await server.control(["close_all_connections", "by the test"]);
    await eventually(
      () => log.events,
      (events) => events.includes("rejections_go_on"),
    );
    expect(submits).toBe(2);
    await sender.close();
    await submissions.close();
  });
});
