/** Submissions and events on a real Kafka. */
import { afterAll, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { watchMembers } from "../../../test/support/kafka-members.ts";
import { sharedKafka } from "../../../test/support/servers/shared.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { TaskEvent } from "../event-output.ts";
import type { Submission, SubmissionResult, Submit } from "../submissions.ts";
import { openKafkaBroker } from "./broker.ts";
import { ignoreLateErrors } from "./errors.ts";

const brokers = [new URL(sharedKafka()).host];
const SIGNAL = new AbortController().signal;
const ACCEPTED: SubmissionResult = { kind: "accepted" };
const WITHIN_MS = 120_000;

const producer = new Producer({ clientId: "test", bootstrapBrokers: brokers });
const consumers: Consumer[] = [];
afterAll(async () => {
  for (const consumer of consumers) await consumer.close(true);
  await producer.close();
});

/** A process that accepts the messages of earlier tests, and passes its own submissions to `submit`. */
async function openSubmissions(own: string, submitOwn: Submit = async () => ACCEPTED) {
  const seen: Submission[] = [];
  const broker = openKafkaBroker(sharedKafka(), { clock: systemClock, log: createTestLog() });
  broker.submissions.consume(async (submission) => {
    if (!textOf(submission).includes(own)) return ACCEPTED;
    seen.push(submission);
    return submitOwn(submission);
  });
  return {
    seen,
    texts: () => seen.map(textOf),
    close: async () => {
      await broker.submissions.close();
      await broker.close();
    },
  };
}

const textOf = ({ body }: Submission): string => Buffer.from(body).toString();

const submit = (texts: readonly string[], headers: Record<string, Buffer> = {}) =>
  producer.send({
    messages: texts.map((text) => ({
      topic: "tasktrack.submit",
      value: Buffer.from(text),
      headers: new Map(Object.entries(headers).map(([name, value]) => [Buffer.from(name), value])),
    })),
    acks: -1,
  });

/** The values of all messages of a topic. */
async function listen(topic: string): Promise<string[]> {
  const consumer = new Consumer({
    clientId: "test",
    groupId: `test-${crypto.randomUUID()}`,
    bootstrapBrokers: brokers,
  });
  consumers.push(consumer);
  const received: string[] = [];
  const stream = await consumer.consume({ topics: [topic], mode: "earliest" });
  stream.on("data", ({ value }) => received.push(value.toString()));
  return received;
}

const unique = (): string => crypto.randomUUID();

test("each message is delivered once, and its key is its id or its position", async () => {
  const own = unique();
  const x = await openSubmissions(own);
  await eventually(
    () => submit([`${own} plain`]).then(x.texts, x.texts), // repeated until the topic exists
    (texts) => texts.length > 0,
    WITHIN_MS,
  );
  await submit([`${own} named`], { "Message-Id": Buffer.from("m1") });
  await eventually(x.texts, (texts) => texts.includes(`${own} named`), WITHIN_MS);
  const places = x.seen.filter((submission) => textOf(submission).endsWith("plain"));
  expect(new Set(places.map(({ key }) => key)).size).toBe(places.length);
  expect(places[0]?.key).toMatch(/^tasktrack\.submit\/\d+\/\d+$/);
  expect(places[0]?.scope).toMatch(/^kafka:.+/);
  const named = x.seen.find((submission) => textOf(submission).endsWith("named")); // there is no order between partitions
  expect(named).toMatchObject({ key: "m1", scope: "kafka" });
  await x.close();
});

test("an accepted message is not delivered again; a message that was not accepted is delivered to the next process", async () => {
  const own = unique();
  const gate = Promise.withResolvers<SubmissionResult>();
  const first = await openSubmissions(own, (submission) =>
    textOf(submission).endsWith("waiting") ? gate.promise : Promise.resolve(ACCEPTED),
  );
  await submit([`${own} taken`]);
  await eventually(first.texts, (texts) => texts.length === 1, WITHIN_MS);
  await submit([`${own} waiting`]);
  await eventually(first.texts, (texts) => texts.length === 2, WITHIN_MS);
  const closing = first.close();
  gate.reject(new Error("closing"));
  await closing;
  const second = await openSubmissions(own);
  await eventually(second.texts, (texts) => texts.includes(`${own} waiting`), WITHIN_MS);
  expect(second.texts()).toEqual([`${own} waiting`]);
  await second.close();
});

test("a rejected message is published with its problem, and delays no other message", async () => {
  const own = unique();
  const problem = JSON.stringify({ status: 400 });
  const x = await openSubmissions(own, async (submission) =>
    textOf(submission).endsWith("bad") ? { kind: "rejected", problem } : ACCEPTED,
  );
  await submit([`${own} good`, `${own} bad`, `${own} good`]);
  await eventually(x.texts, (texts) => texts.length === 3, WITHIN_MS);
  const rejected = await listen("tasktrack.rejected");
  const mine = () => rejected.filter((text) => text.includes(own));
  await eventually(mine, (found) => found.length > 0, WITHIN_MS);
  expect(mine().map((text) => JSON.parse(text))).toMatchObject([
    { problem: { status: 400 }, encoding: "utf-8", truncated: false, body: `${own} bad` },
  ]);
  await x.close();
});

/** A process with its own prefix that rejects all messages, and whose topic of rejections accepts messages of this size. */
async function openRejecting(own: { readonly bytesAtMost: number; readonly problem: string }) {
  const prefix = `rejecting-${unique()}`;
  const topics = { submit: `${prefix}.submit`, rejected: `${prefix}.rejected` };
  const admin = new Admin({ clientId: "test", bootstrapBrokers: brokers });
  const configs = [{ name: "max.message.bytes", value: String(own.bytesAtMost) }];
  await admin.createTopics({ topics: [topics.rejected], partitions: 1, replicas: -1, configs });
  await admin.createTopics({ topics: [topics.submit], partitions: 1, replicas: -1 });
  const log = createTestLog();
  const broker = openKafkaBroker(`${sharedKafka()}?prefix=${prefix}`, { clock: systemClock, log });
  broker.submissions.consume(async () => ({ kind: "rejected", problem: own.problem }));
  return {
    ...{ log, topics },
    submit: (message: { readonly value: Buffer; readonly headers?: Map<Buffer, Buffer> }) =>
      producer.send({ messages: [{ topic: topics.submit, ...message }], acks: -1 }),
    /** The offset of the first message that is not committed. */
    committed: async (): Promise<bigint> => {
      const groups = [{ groupId: prefix, topics: [{ name: topics.submit, partitionIndexes: [0] }] }];
      const [group] = await admin.listConsumerGroupOffsets({ groups });
      return group?.topics[0]?.partitions[0]?.committedOffset ?? -1n;
    },
    close: async () => {
      await broker.submissions.close();
      await broker.close();
      await admin.close();
    },
  };
}

test("a rejection of two megabytes is published in a shorter form, and its message is not delivered again", async () => {
  const problem = JSON.stringify({
    status: 400,
    code: "invalid",
    detail: "no",
    errors: "x".repeat(2_000_000),
  });
  const x = await openRejecting({ bytesAtMost: 1_048_588, problem });
  await x.submit({ value: Buffer.alloc(1_000_000, 1) });
  await x.submit({ value: Buffer.from("{}"), headers: new Map([[Buffer.from("message-id"), LONG]]) });
  await eventually(x.committed, (offset) => offset === 2n, WITHIN_MS);
  const rejected = await listen(x.topics.rejected);
  await eventually(
    () => rejected.length,
    (count) => count === 2,
    WITHIN_MS,
  );
  expect(x.log.events).toEqual([]);
  await x.close();
});

const LONG = Buffer.alloc(700_000, "k");

test("a topic that is too small for a rejection gets one without its body", async () => {
  const problem = JSON.stringify({ status: 400, code: "invalid", detail: "no name", request_id: "r" });
  const x = await openRejecting({ bytesAtMost: 1_000, problem });
  await x.submit({ value: Buffer.from("a".repeat(2_000)) });
  await eventually(x.committed, (offset) => offset === 1n, WITHIN_MS);
  const rejected = await listen(x.topics.rejected);
  await eventually(
    () => rejected.length,
    (count) => count === 1,
    WITHIN_MS,
  );
  expect(JSON.parse(rejected[0] ?? "")).toMatchObject({ problem: { detail: "no name" }, body: "" });
  expect(x.log.events).toEqual(["rejection_too_large"]);
  await x.close();
});

test("if the topic is too small for any rejection, the rejection is logged and delays nothing", async () => {
  const x = await openRejecting({
    bytesAtMost: 100,
    problem: JSON.stringify({ status: 400, detail: "no name" }),
  });
  await x.submit({ value: Buffer.from("a") });
  await eventually(x.committed, (offset) => offset === 1n, WITHIN_MS);
  expect(x.log.events).toContain("rejection_dropped");
  await x.close();
});

test("thousands of messages are delivered at once, each of them once", async () => {
  const own = unique();
  const x = await openSubmissions(own);
  for (let piece = 0; piece < 5; piece++) {
    await submit(Array.from({ length: 1_000 }, (_, n) => `${own} ${piece}.${n}`));
  }
  await eventually(x.texts, (texts) => texts.length >= 5_000, WITHIN_MS);
  expect(new Set(x.texts()).size).toBe(5_000);
  expect(x.texts()).toHaveLength(5_000);
  await x.close();
});

test("events of a task are in order", async () => {
  const broker = openKafkaBroker(sharedKafka(), { clock: systemClock, log: createTestLog() });
  const type = unique();
  const events = Array.from(
    { length: 1_000 },
    (_, n): TaskEvent => ({ event: "task.done", id: n % 7, type, status: "done", version: n }),
  );
  await broker.eventOutput.publish(events, SIGNAL);
  const received = await listen("tasktrack.events");
  const mine = () =>
    received.map((text) => JSON.parse(text) as TaskEvent).filter((event) => event.type === type);
  await eventually(mine, (found) => found.length === 1_000, WITHIN_MS);
  for (let id = 0; id < 7; id++) {
    const versions = mine()
      .filter((event) => event.id === id)
      .map(({ version }) => version);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  }
  await broker.submissions.close();
  await broker.close();
});

test("a second error of a connection, for which the client has no listener, does not end the process", async () => {
  const admin = ignoreLateErrors(new Admin({ clientId: "test", bootstrapBrokers: brokers }));
  const sockets: Socket[] = [];
  admin.on("client:broker:connect", ({ connection }) => sockets.push(connection.socket));
  await admin.metadata({ topics: [] });
  expect(sockets).not.toBeEmpty();
  for (const socket of sockets) {
    for (const word of ["first", "second"]) socket.emit("error", new Error(word)); // throws without a listener
    socket.destroy();
  }
  await admin.close();
});

test("a reader of submissions that could not join its group again starts anew", async () => {
  const own = unique();
  const watch = watchMembers();
  const x = await openSubmissions(own);
  await eventually(
    () => watch.members[0]?.isActive(),
    (isMember) => isMember === true,
    WITHIN_MS,
  );
  watch.members[0]?.emit("error", new Error("could not join again")); // the client emits it once
  await eventually(
    () => watch.members[1]?.isActive(),
    (isMember) => isMember === true,
    WITHIN_MS,
  );
  await submit([`${own} later`]);
  await eventually(x.texts, (texts) => texts.includes(`${own} later`), WITHIN_MS);
  await x.close();
  watch.close();
});

test("a deleted topic is created anew, for the events and for the submissions", async () => {
  const prefix = `gone-${unique()}`;
  const broker = openKafkaBroker(`${sharedKafka()}?prefix=${prefix}`, {
    clock: systemClock,
    log: createTestLog(),
  });
  const event: TaskEvent = { event: "task.done", id: 1, type: "t", status: "done", version: 1 };
  await broker.eventOutput.publish([event], SIGNAL);
  const submitted: string[] = [];
  broker.submissions.consume(async (submission) => {
    submitted.push(textOf(submission));
    return ACCEPTED;
  });
  const admin = new Admin({ clientId: "test", bootstrapBrokers: brokers });
  const works = (promise: Promise<unknown>): Promise<boolean> =>
    promise.then(
      () => true,
      () => false,
    );
  const message = { topic: `${prefix}.submit`, value: Buffer.from("1") };
  const submitOne = () =>
    works(producer.send({ messages: [message], acks: -1 })).then(() => submitted.length);
  await eventually(submitOne, (count) => count > 0, WITHIN_MS);

  await admin.deleteTopics({ topics: [`${prefix}.events`] });
  await eventually(
    () => works(broker.eventOutput.publish([event], SIGNAL)),
    (isPublished) => isPublished,
    WITHIN_MS,
  );

  await admin.deleteTopics({ topics: [`${prefix}.submit`] });
  submitted.length = 0;
  await eventually(submitOne, (count) => count > 0, WITHIN_MS);
  await broker.submissions.close();
  await broker.close();
  await admin.close();
});
