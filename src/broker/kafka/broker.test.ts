/** Tasks in and events out on a real Kafka. */
import { afterAll, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { createTestLog } from "../../../test/support/engine.ts";
import { eventually } from "../../../test/support/eventually.ts";
import { watchMembers } from "../../../test/support/kafka-members.ts";
import { sharedKafka } from "../../../test/support/servers/shared.ts";
import { systemClock } from "../../lib/system-clock.ts";
import type { TaskEvent } from "../event-output.ts";
import type { Submission, SubmissionResult } from "../submissions.ts";
import { openKafkaBroker } from "./broker.ts";
import { ignoreLateErrors } from "./errors.ts";

const brokers = [new URL(sharedKafka()).host];
const SIGNAL = new AbortController().signal;
const ACCEPTED: SubmissionResult = { kind: "accepted" };
const WITHIN_MS = 120_000;

const producer = new Producer({ clientId: "test", bootstrapBrokers: brokers });
const ears: Consumer[] = [];
afterAll(async () => {
  for (const ear of ears) await ear.close(true);
  await producer.close();
});

/** A process that takes what comes; what earlier tests have left is not its own. */
async function openInlet(
  own: string,
  take: (submission: Submission) => Promise<SubmissionResult> = async () => ACCEPTED,
) {
  const seen: Submission[] = [];
  const flow = openKafkaBroker(sharedKafka(), { clock: systemClock, log: createTestLog() });
  flow.inlet.consume(async (submission) => {
    if (!textOf(submission).includes(own)) return ACCEPTED;
    seen.push(submission);
    return take(submission);
  });
  return {
    seen,
    texts: () => seen.map(textOf),
    close: async () => {
      await flow.inlet.close();
      await flow.close();
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

/** All that a topic has brought since its begin. */
async function listen(topic: string): Promise<string[]> {
  const ear = new Consumer({
    clientId: "ear",
    groupId: `ear-${crypto.randomUUID()}`,
    bootstrapBrokers: brokers,
  });
  ears.push(ear);
  const heard: string[] = [];
  const stream = await ear.consume({ topics: [topic], mode: "earliest" });
  stream.on("data", ({ value }) => heard.push(value.toString()));
  return heard;
}

const unique = (): string => crypto.randomUUID();

test("each message comes once, under its place or the name that it bears", async () => {
  const own = unique();
  const x = await openInlet(own);
  await eventually(
    () => submit([`${own} plain`]).then(x.texts, x.texts), // until the topic is there
    (texts) => texts.length > 0,
    WITHIN_MS,
  );
  await submit([`${own} named`], { "Message-Id": Buffer.from("m1") });
  await eventually(x.texts, (texts) => texts.includes(`${own} named`), WITHIN_MS);
  const places = x.seen.filter((submission) => textOf(submission).endsWith("plain"));
  expect(new Set(places.map(({ key }) => key)).size).toBe(places.length);
  expect(places[0]?.key).toMatch(/^tasktrack\.submit\/\d+\/\d+$/);
  expect(places[0]?.scope).toMatch(/^kafka:.+/);
  const named = x.seen.find((submission) => textOf(submission).endsWith("named")); // partitions keep no common order
  expect(named).toMatchObject({ key: "m1", scope: "kafka" });
  await x.close();
});

test("what was taken is not brought again, what was not comes to the next process", async () => {
  const own = unique();
  const gate = Promise.withResolvers<SubmissionResult>();
  const first = await openInlet(own, (submission) =>
    textOf(submission).endsWith("held") ? gate.promise : Promise.resolve(ACCEPTED),
  );
  await submit([`${own} taken`]);
  await eventually(first.texts, (texts) => texts.length === 1, WITHIN_MS);
  await submit([`${own} held`]);
  await eventually(first.texts, (texts) => texts.length === 2, WITHIN_MS);
  const closing = first.close();
  gate.reject(new Error("closing"));
  await closing;
  const second = await openInlet(own);
  await eventually(second.texts, (texts) => texts.includes(`${own} held`), WITHIN_MS);
  expect(second.texts()).toEqual([`${own} held`]);
  await second.close();
});

test("one that is refused is kept with its problem, and holds up none of the others", async () => {
  const own = unique();
  const problem = JSON.stringify({ status: 400 });
  const x = await openInlet(own, async (submission) =>
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

/** A process under a prefix of its own, whose topic of rejected messages takes so many bytes a message, and refuses all. */
async function openRefusing(own: { readonly takesBytes: number; readonly problem: string }) {
  const prefix = `refusing-${unique()}`;
  const topics = { submit: `${prefix}.submit`, rejected: `${prefix}.rejected` };
  const admin = new Admin({ clientId: "test", bootstrapBrokers: brokers });
  const configs = [{ name: "max.message.bytes", value: String(own.takesBytes) }];
  await admin.createTopics({ topics: [topics.rejected], partitions: 1, replicas: -1, configs });
  await admin.createTopics({ topics: [topics.submit], partitions: 1, replicas: -1 });
  const log = createTestLog();
  const flow = openKafkaBroker(`${sharedKafka()}?prefix=${prefix}`, { clock: systemClock, log });
  flow.inlet.consume(async () => ({ kind: "rejected", problem: own.problem }));
  return {
    ...{ log, topics },
    submit: (message: { readonly value: Buffer; readonly headers?: Map<Buffer, Buffer> }) =>
      producer.send({ messages: [{ topic: topics.submit, ...message }], acks: -1 }),
    /** The offset of the first message that has not been dealt with. */
    committed: async (): Promise<bigint> => {
      const groups = [{ groupId: prefix, topics: [{ name: topics.submit, partitionIndexes: [0] }] }];
      const [group] = await admin.listConsumerGroupOffsets({ groups });
      return group?.topics[0]?.partitions[0]?.committedOffset ?? -1n;
    },
    close: async () => {
      await flow.inlet.close();
      await flow.close();
      await admin.close();
    },
  };
}

test("a refusal of two megabytes is kept cut short, and its message is not brought again", async () => {
  const problem = JSON.stringify({
    status: 400,
    code: "invalid",
    detail: "no",
    errors: "x".repeat(2_000_000),
  });
  const x = await openRefusing({ takesBytes: 1_048_588, problem });
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

test("a topic that takes no rejection of that length gets one without its body", async () => {
  const problem = JSON.stringify({ status: 400, code: "invalid", detail: "no name", request_id: "r" });
  const x = await openRefusing({ takesBytes: 1_000, problem });
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

test("a topic that takes none at all holds up nothing: what was refused stands in the log", async () => {
  const x = await openRefusing({
    takesBytes: 100,
    problem: JSON.stringify({ status: 400, detail: "no name" }),
  });
  await x.submit({ value: Buffer.from("a") });
  await eventually(x.committed, (offset) => offset === 1n, WITHIN_MS);
  expect(x.log.events).toContain("rejection_dropped");
  await x.close();
});

test("thousands come at once, each once", async () => {
  const own = unique();
  const x = await openInlet(own);
  for (let piece = 0; piece < 5; piece++) {
    await submit(Array.from({ length: 1_000 }, (_, n) => `${own} ${piece}.${n}`));
  }
  await eventually(x.texts, (texts) => texts.length >= 5_000, WITHIN_MS);
  expect(new Set(x.texts()).size).toBe(5_000);
  expect(x.texts()).toHaveLength(5_000);
  await x.close();
});

test("events of a task come in order", async () => {
  const flow = openKafkaBroker(sharedKafka(), { clock: systemClock, log: createTestLog() });
  const type = unique();
  const events = Array.from(
    { length: 1_000 },
    (_, n): TaskEvent => ({ event: "task.done", id: n % 7, type, status: "done", version: n }),
  );
  await flow.outlet.publish(events, SIGNAL);
  const heard = await listen("tasktrack.events");
  const mine = () =>
    heard.map((text) => JSON.parse(text) as TaskEvent).filter((event) => event.type === type);
  await eventually(mine, (found) => found.length === 1_000, WITHIN_MS);
  for (let id = 0; id < 7; id++) {
    const versions = mine()
      .filter((event) => event.id === id)
      .map(({ version }) => version);
    expect(versions).toEqual(versions.toSorted((a, b) => a - b));
  }
  await flow.inlet.close();
  await flow.close();
});

test("a connection that errs twice, where its client listens once, ends nothing", async () => {
  const admin = ignoreLateErrors(new Admin({ clientId: "test", bootstrapBrokers: brokers }));
  const sockets: Socket[] = [];
  admin.on("client:broker:connect", ({ connection }) => sockets.push(connection.socket));
  await admin.metadata({ topics: [] });
  expect(sockets).not.toBeEmpty();
  for (const socket of sockets) {
    for (const word of ["first", "second"]) socket.emit("error", new Error(word)); // throws where nobody listens
    socket.destroy();
  }
  await admin.close();
});

test("who takes tasks in and could not join its group again begins anew", async () => {
  const own = unique();
  const watch = watchMembers();
  const x = await openInlet(own);
  await eventually(
    () => watch.members[0]?.isActive(),
    (isMember) => isMember === true,
    WITHIN_MS,
  );
  watch.members[0]?.emit("error", new Error("could not join again")); // as the client says it, once and for all
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

test("a topic that somebody has deleted is made anew for who publishes to it, and for who takes tasks from it", async () => {
  const prefix = `gone-${unique()}`;
  const flow = openKafkaBroker(`${sharedKafka()}?prefix=${prefix}`, {
    clock: systemClock,
    log: createTestLog(),
  });
  const event: TaskEvent = { event: "task.done", id: 1, type: "t", status: "done", version: 1 };
  await flow.outlet.publish([event], SIGNAL);
  const taken: string[] = [];
  flow.inlet.consume(async (submission) => {
    taken.push(textOf(submission));
    return ACCEPTED;
  });
  const admin = new Admin({ clientId: "test", bootstrapBrokers: brokers });
  const works = (promise: Promise<unknown>): Promise<boolean> =>
    promise.then(
      () => true,
      () => false,
    );
  const message = { topic: `${prefix}.submit`, value: Buffer.from("1") };
  const submitted = () => works(producer.send({ messages: [message], acks: -1 })).then(() => taken.length);
  await eventually(submitted, (count) => count > 0, WITHIN_MS);

  await admin.deleteTopics({ topics: [`${prefix}.events`] });
  await eventually(
    () => works(flow.outlet.publish([event], SIGNAL)),
    (isPublished) => isPublished,
    WITHIN_MS,
  );

  await admin.deleteTopics({ topics: [`${prefix}.submit`] });
  taken.length = 0;
  await eventually(submitted, (count) => count > 0, WITHIN_MS);
  await flow.inlet.close();
  await flow.close();
  await admin.close();
});
