/** Submissions, events and wake-ups on brokers with authentication: TLS, SASL, virtual hosts. */
import { afterAll, describe, expect, test } from "bun:test";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { Connection } from "rabbitmq-client";
import { createTestLog, type TestLog } from "../../test/support/engine.ts";
import { eventually } from "../../test/support/eventually.ts";
import { type Gate, openGate } from "../../test/support/gate.ts";
import type { Certificate } from "../../test/support/servers/certificates.ts";
import { ACCOUNT, TENANT } from "../../test/support/servers/secured.ts";
import { sharedSecuredKafka, sharedSecuredRabbitmq } from "../../test/support/servers/shared.ts";
import { systemClock } from "../lib/system-clock.ts";
import type { Broker } from "./broker.ts";
import type { TaskEvent } from "./event-output.ts";
import { openBroker } from "./open.ts";

const SIGNAL = new AbortController().signal;
const WITHIN_MS = 120_000;
const TEST_MS = 2 * WITHIN_MS;

/** For Kafka, which other tests use as well. On RabbitMQ the test has its own virtual host. */
const PREFIX = `secured-${crypto.randomUUID()}`;
const WRONG = { password: "wrong secret" };

const closing: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closing.toReversed()) await close();
});

const accountOf = ({ user, password }: { readonly user: string; readonly password: string }): string =>
  `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
const filesOf = ({ certificate, key }: Certificate): string => `certfile=${certificate}&keyfile=${key}`;
const byAddress = (url: string): string => url.replace("@localhost:", "@127.0.0.1:");

async function open(url: string, log: TestLog): Promise<Broker> {
  const broker = await openBroker(url, { clock: systemClock, log });
  if (broker === null) throw new Error("no broker was named");
  return broker;
}

async function close(broker: Broker): Promise<void> {
  await broker.submissions.close();
  await broker.close();
}

/** A producer and a consumer at the broker's port without authentication. */
type OtherEnd = {
  readonly submit: (text: string) => Promise<unknown>;
  /** The events that were published so far. */
  readonly events: readonly string[];
};

/**
 * Sends a message until it is submitted, because the broker creates its queue or topic when it connects; then an event, until it is
 * published; then one wake-up.
 */
async function expectAllToWork(url: string, { submit, events }: OtherEnd): Promise<void> {
  const own = crypto.randomUUID();
  const texts: string[] = [];
  const broker = await open(url, createTestLog());
  broker.submissions.consume(async ({ body }) => {
    texts.push(Buffer.from(body).toString());
    return { kind: "accepted" };
  });
  const attempt = (sending: Promise<unknown>) => sending.catch(() => undefined);
  await eventually(
    () => attempt(submit(own)),
    () => texts.includes(own),
    WITHIN_MS,
  );
  const event: TaskEvent = { event: "task.done", id: 1, type: own, status: "done", version: 1 };
  await eventually(
    () => attempt(broker.eventOutput.publish([event], SIGNAL)),
    () => events.includes(JSON.stringify(event)),
    WITHIN_MS,
  );
  const wakeUp = broker.wakeUps.listen([own], SIGNAL);
  await eventually(
    () => broker.wakeUps.isLive([own]),
    (isLive) => isLive,
    WITHIN_MS,
  );
  await broker.wakeUps.notify([own]);
  await (await wakeUp)?.ack(1);
  await close(broker);
}

/** A refusal is logged once with its reason, and the connection is tried again. */
async function expectRefusals(url: string, gate: Gate, reason: RegExp): Promise<void> {
  const log = createTestLog();
  const broker = await open(url, log);
  broker.submissions.consume(async () => ({ kind: "accepted" }));
  const lines = () => log.logged.filter(({ level }) => level === "warn");
  const reasons = () => lines().map(({ fields }) => String(fields.error));
  await eventually(reasons, (all) => all.some((text) => reason.test(text)), WITHIN_MS);
  const before = gate.passed();
  await eventually(gate.passed, (passed) => passed >= before + 3, WITHIN_MS);
  await close(broker);
  const events = lines().map(({ event }) => event);
  expect(events).toEqual([...new Set(events)]);
  expect(JSON.stringify(log.logged)).not.toMatch(/p@s|p%40s|wrong.{1,3}secret/);
}

type Refusal = {
  readonly name: string;
  /** The server: `host:port`. */
  readonly at: string;
  /** @param port the port of the proxy that forwards to the server */
  readonly url: (port: number) => string;
  readonly reason: RegExp;
};

const testRefusals = (refusals: readonly Refusal[]): void =>
  test.concurrent.each(refusals.map((one) => [one.name, one] as const))(
    "a refusal %s is logged once, without the password, and the connection is tried again",
    async (_, { at, url, reason }) => {
      const gate = await openGate(Number(at.split(":").at(-1)));
      await expectRefusals(url(gate.port), gate, reason);
      gate.close();
    },
    TEST_MS,
  );

describe("RabbitMQ", async () => {
  const { url: plainUrl, secured } = sharedSecuredRabbitmq();
  const { certificates, tls } = secured;
  const plain = new URL(plainUrl).host;
  const trust = `cacertfile=${certificates.authority}`;
  const account = accountOf(TENANT);
  const otherEnd = await listenOnRabbitmq(plainUrl);

  test.each([
    ["a virtual host and a password", `amqp://${account}@${plain}/%2Fprod`],
    ["TLS", `amqps://${account}@${tls}/%2Fprod?${trust}`],
    [
      "TLS and a client certificate",
      `amqps://${account}@${tls}/%2Fprod?${trust}&${filesOf(certificates.client)}`,
    ],
    ["TLS without verification", byAddress(`amqps://${account}@${tls}/%2Fprod?verify=verify_none`)],
  ])("submissions, events and wake-ups work by %s", (_, url) => expectAllToWork(url, otherEnd), TEST_MS);

  testRefusals([
    {
      name: "of another password",
      at: plain,
      url: (port) => `amqp://${accountOf({ ...TENANT, ...WRONG })}@127.0.0.1:${port}/%2Fprod`,
      reason: /ACCESS_REFUSED/,
    },
    {
      name: "of another virtual host",
      at: plain,
      url: (port) => `amqp://${account}@127.0.0.1:${port}`,
      reason: /access to vhost '\/' refused/,
    },
    {
      name: "of a client certificate of another authority",
      at: tls,
      url: (port) =>
        `amqps://${account}@localhost:${port}/%2Fprod?${trust}&${filesOf(certificates.stranger)}`,
      reason: /BAD_CERTIFICATE|UNKNOWN_CA/,
    },
    {
      name: "of a server of an unknown authority",
      at: tls,
      url: (port) => `amqps://${account}@localhost:${port}/%2Fprod`,
      reason: /self.signed certificate|unable to verify/,
    },
    {
      name: "of a server of another name",
      at: tls,
      url: (port) => `amqps://${account}@127.0.0.1:${port}/%2Fprod?${trust}`,
      reason: /127\.0\.0\.1 is not in the cert's list/,
    },
  ]);
});

async function listenOnRabbitmq(url: string): Promise<OtherEnd> {
  const { hostname, port } = new URL(url);
  const connection = new Connection({ hostname, port, vhost: TENANT.vhost });
  closing.push(() => connection.close());
  const publisher = connection.createPublisher();
  closing.push(() => publisher.close());
  const events: string[] = [];
  const consumer = connection.createConsumer(
    {
      queueOptions: { exclusive: true },
      exchanges: [{ exchange: "tasktrack.events", type: "topic", durable: true }],
      queueBindings: [{ exchange: "tasktrack.events", routingKey: "#" }],
    },
    ({ body }) => {
      events.push(JSON.stringify(body));
    },
  );
  closing.push(() => consumer.close());
  await new Promise<void>((resolve) => consumer.on("ready", () => resolve()));
  return {
    submit: (text) => publisher.send({ routingKey: "tasktrack.submit" }, Buffer.from(text)),
    events,
  };
}

describe("Kafka", async () => {
  const { url: plainUrl, secured } = sharedSecuredKafka();
  const { certificates, sasl, saslTls, mutualTls } = secured;
  const trust = `cacertfile=${certificates.authority}`;
  const own = `prefix=${PREFIX}`;
  const account = accountOf(ACCOUNT);
  const wrong = accountOf({ ...ACCOUNT, ...WRONG });
  const otherEnd = await listenOnKafka(plainUrl);

  test.each([
    ["PLAIN", `kafka://${account}@${sasl}?sasl=plain&${own}`],
    ["SCRAM-SHA-256", `kafka://${account}@${sasl}?sasl=scram-sha-256&${own}`],
    ["PLAIN in TLS", `kafkas://${account}@${saslTls}?sasl=plain&${trust}&${own}`],
    ["SCRAM-SHA-512, the default, in TLS", `kafkas://${account}@${saslTls}?${trust}&${own}`],
    ["TLS and a client certificate", `kafkas://${mutualTls}?${trust}&${filesOf(certificates.client)}&${own}`],
    ["TLS without verification", byAddress(`kafkas://${account}@${saslTls}?verify=verify_none&${own}`)],
  ])("submissions, events and wake-ups work by %s", (_, url) => expectAllToWork(url, otherEnd), TEST_MS);

  testRefusals([
    {
      name: "of another password by PLAIN",
      at: sasl,
      url: (port) => `kafka://${wrong}@127.0.0.1:${port}?sasl=plain&${own}`,
      reason: /caused by: SASL authentication failed/,
    },
    {
      name: "of another password by SCRAM",
      at: saslTls,
      url: (port) => `kafkas://${wrong}@localhost:${port}?${trust}`,
      reason: /caused by: SASL authentication failed/,
    },
    {
      name: "by a server without SCRAM-SHA-512, the default,",
      at: sasl,
      url: (port) => `kafka://${account}@127.0.0.1:${port}`,
      reason: /caused by: The broker does not support the requested SASL mechanism/,
    },
    {
      name: "of a client certificate of another authority",
      at: mutualTls,
      url: (port) => `kafkas://127.0.0.1:${port}?${trust}&${filesOf(certificates.stranger)}`,
      reason: /Connection closed/,
    },
    {
      name: "of a server of an unknown authority",
      at: saslTls,
      url: (port) => `kafkas://${account}@localhost:${port}`,
      reason: /caused by: (self.signed certificate|unable to verify)/,
    },
    {
      name: "of a server of another name",
      at: saslTls,
      url: (port) => `kafkas://${account}@127.0.0.1:${port}?${trust}`,
      reason: /caused by: .*127\.0\.0\.1 is not in the cert's list/,
    },
  ]);
});

async function listenOnKafka(url: string): Promise<OtherEnd> {
  const bootstrapBrokers = [new URL(url).host];
  const topic = `${PREFIX}.events`;
  const admin = new Admin({ clientId: "test", bootstrapBrokers });
  await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 });
  await admin.close();
  const producer = new Producer({ clientId: "test", bootstrapBrokers });
  closing.push(() => producer.close());
  const consumer = new Consumer({ clientId: "test", groupId: `${PREFIX}-test`, bootstrapBrokers });
  closing.push(() => consumer.close(true));
  const events: string[] = [];
  const stream = await consumer.consume({ topics: [topic], mode: "earliest" });
  stream.on("data", ({ value }) => events.push(value.toString()));
  return {
    submit: (text) =>
      producer.send({ messages: [{ topic: `${PREFIX}.submit`, value: Buffer.from(text) }], acks: -1 }),
    events,
  };
}
