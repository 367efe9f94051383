/** Tasks in and events out on brokers that ask who comes, and prove who they are: TLS, SASL, virtual hosts. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { Connection, type Publisher } from "rabbitmq-client";
import { createTestLog, type TestLog } from "../../test/support/engine.ts";
import { eventually } from "../../test/support/eventually.ts";
import { type Gate, openGate } from "../../test/support/gate.ts";
import type { Certificate } from "../../test/support/servers/certificates.ts";
import { createSecuredKafka, type SecuredKafka } from "../../test/support/servers/kafka.ts";
import { createSecuredRabbitmq, type SecuredRabbitmq } from "../../test/support/servers/rabbitmq.ts";
import { systemClock } from "../lib/system-clock.ts";
import { type Flow, openFlow } from "./open.ts";
import type { TaskEvent } from "./outlet.ts";

const SIGNAL = new AbortController().signal;
const WITHIN_MS = 30_000;

/** Every character that a URL, or a setting of one of the servers, might take for something else; RabbitMQ's may be any. */
const SECRET = "p@s/s:w%r?d#+ &=";
const TENANT = { user: "task@track", password: `${SECRET}ü`, vhost: "/prod" };
const ACCOUNT = { user: "tasktrack", password: SECRET };

const accountOf = ({ user, password }: { readonly user: string; readonly password: string }): string =>
  `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
const filesOf = ({ certificate, key }: Certificate): string =>
  `certfile=${encodeURIComponent(certificate)}&keyfile=${encodeURIComponent(key)}`;
const byAddress = (hostAndPort: string): string => hostAndPort.replace("localhost", "127.0.0.1");

async function open(url: string, log: TestLog): Promise<Flow> {
  const flow = await openFlow(url, { clock: systemClock, log });
  if (flow === null) throw new Error("no broker was named");
  return flow;
}

async function close(flow: Flow): Promise<void> {
  await flow.inlet.close();
  await flow.close();
}

/** Sends until it has come in, for the server makes the queue and the topics; then an event, until it has gone out. */
async function expectBothWays(
  url: string,
  {
    submit,
    heard,
  }: { readonly submit: (text: string) => Promise<unknown>; readonly heard: readonly string[] },
): Promise<void> {
  const own = crypto.randomUUID();
  const texts: string[] = [];
  const flow = await open(url, createTestLog());
  flow.inlet.consume(async ({ body }) => {
    texts.push(Buffer.from(body).toString());
    return { kind: "accepted" };
  });
  await eventually(
    () =>
      submit(own).then(
        () => texts,
        () => texts,
      ),
    (seen) => seen.includes(own),
    WITHIN_MS,
  );
  const event: TaskEvent = { event: "task.done", id: 1, type: own, status: "done", version: 1 };
  await eventually(
    () =>
      flow.outlet.publish([event], SIGNAL).then(
        () => heard,
        () => heard,
      ),
    (all) => all.includes(JSON.stringify(event)),
    WITHIN_MS,
  );
  await close(flow);
}

/** Turned away, it says why in one line, and goes on to try. */
async function expectRefusals(
  url: string,
  { gate, reason }: { readonly gate: Gate; readonly reason: RegExp },
) {
  const log = createTestLog();
  const flow = await open(url, log);
  flow.inlet.consume(async () => ({ kind: "accepted" }));
  const lines = () => log.logged.filter(({ level }) => level === "warn");
  const texts = () => lines().map(({ fields }) => String(fields.error));
  await eventually(texts, (said) => said.some((text) => reason.test(text)), WITHIN_MS);
  const before = gate.passed();
  await eventually(gate.passed, (passed) => passed >= before + 3, WITHIN_MS);
  await close(flow);
  const events = lines().map(({ event }) => event);
  expect(events).toEqual([...new Set(events)]);
  expect(JSON.stringify(log.logged)).not.toMatch(/p@s|p%40s|wrong secret|wrong%20secret/);
}

const WRONG = { password: "wrong secret" };

type Refusal<S> = {
  readonly name: string;
  /** Where the server is met: `host:port`. */
  readonly at: (server: S) => string;
  /** @param port the gate's, which leads there */
  readonly url: (server: S, port: number) => string;
  readonly reason: RegExp;
};

const testRefusals = <S>(refusals: readonly Refusal<S>[], server: () => S): void =>
  test.concurrent.each(refusals.map((one) => [one.name, one] as const))(
    "who is refused %s says so once, tells no password, and goes on to try",
    async (_, { at, url, reason }) => {
      const gate = await openGate(Number(at(server()).split(":").at(-1)));
      await expectRefusals(url(server(), gate.port), { gate, reason });
      gate.close();
    },
    60_000,
  );

describe("RabbitMQ", () => {
  let server: SecuredRabbitmq;
  let publisher: Publisher;
  const heard: string[] = [];
  const closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    server = await createSecuredRabbitmq(TENANT);
    closing.push(() => server.remove());
    await server.start();
    const connection = new Connection({ hostname: "127.0.0.1", port: server.port, vhost: TENANT.vhost });
    closing.push(() => connection.close());
    publisher = connection.createPublisher();
    closing.push(() => publisher.close());
    const ear = connection.createConsumer(
      {
        queueOptions: { exclusive: true },
        exchanges: [{ exchange: "tasktrack.events", type: "topic", durable: true }],
        queueBindings: [{ exchange: "tasktrack.events", routingKey: "#" }],
      },
      ({ body }) => {
        heard.push(JSON.stringify(body));
      },
    );
    closing.push(() => ear.close());
    await new Promise<void>((resolve) => ear.on("ready", () => resolve()));
  });
  afterAll(async () => {
    for (const end of closing.toReversed()) await end();
  });

  const tls = (query: (server: SecuredRabbitmq) => string) => (): string =>
    `amqps://${accountOf(TENANT)}@${server.tls}/%2Fprod?${query(server)}`;
  const ways: readonly (readonly [string, () => string])[] = [
    ["a virtual host and a password", () => `amqp://${accountOf(TENANT)}@127.0.0.1:${server.port}/%2Fprod`],
    ["TLS", tls(({ certificates }) => `cacertfile=${certificates.authority}`)],
    [
      "TLS and a certificate of its own",
      tls(({ certificates }) => `cacertfile=${certificates.authority}&${filesOf(certificates.client)}`),
    ],
    ["TLS that trusts anybody", () => byAddress(tls(() => "verify=verify_none")())],
  ];
  test.each(ways)("tasks come in and events go out by %s", async (_, url) => {
    const submit = (text: string) => publisher.send({ routingKey: "tasktrack.submit" }, Buffer.from(text));
    await expectBothWays(url(), { submit, heard });
  });

  const refusals: readonly Refusal<SecuredRabbitmq>[] = [
    {
      name: "with another password",
      at: ({ port }) => `127.0.0.1:${port}`,
      url: (_, port) => `amqp://${accountOf({ ...TENANT, ...WRONG })}@127.0.0.1:${port}/%2Fprod`,
      reason: /ACCESS_REFUSED/,
    },
    {
      name: "at another virtual host",
      at: ({ port }) => `127.0.0.1:${port}`,
      url: (_, port) => `amqp://${accountOf(TENANT)}@127.0.0.1:${port}`,
      reason: /access to vhost '\/' refused/,
    },
    {
      name: "with a stranger's certificate",
      at: ({ tls: place }) => place,
      url: ({ certificates }, port) =>
        `amqps://${accountOf(TENANT)}@localhost:${port}/%2Fprod?cacertfile=${certificates.authority}&${filesOf(certificates.stranger)}`,
      reason: /BAD_CERTIFICATE|UNKNOWN_CA/,
    },
    {
      name: "by a server of an unknown authority",
      at: ({ tls: place }) => place,
      url: (_, port) => `amqps://${accountOf(TENANT)}@localhost:${port}/%2Fprod`,
      reason: /self.signed certificate|unable to verify/,
    },
    {
      name: "by a server of another name",
      at: ({ tls: place }) => place,
      url: ({ certificates }, port) =>
        `amqps://${accountOf(TENANT)}@127.0.0.1:${port}/%2Fprod?cacertfile=${certificates.authority}`,
      reason: /127\.0\.0\.1 is not in the cert's list/,
    },
  ];
  testRefusals(refusals, () => server);
});

describe("Kafka", () => {
  let server: SecuredKafka;
  let producer: Producer;
  const heard: string[] = [];
  const closing: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    server = await createSecuredKafka(ACCOUNT);
    closing.push(() => server.remove());
    await server.start();
    const bootstrapBrokers = [`127.0.0.1:${server.port}`];
    const admin = new Admin({ clientId: "test", bootstrapBrokers });
    await admin.createTopics({ topics: ["tasktrack.events"], partitions: 1, replicas: 1 });
    await admin.close();
    producer = new Producer({ clientId: "test", bootstrapBrokers });
    closing.push(() => producer.close());
    const ear = new Consumer({ clientId: "ear", groupId: "ear", bootstrapBrokers });
    closing.push(() => ear.close(true));
    const stream = await ear.consume({ topics: ["tasktrack.events"], mode: "earliest" });
    stream.on("data", ({ value }) => heard.push(value.toString()));
  }, 60_000);
  afterAll(async () => {
    for (const end of closing.toReversed()) await end();
  });

  const account = accountOf(ACCOUNT);
  const ways: readonly (readonly [string, (its: SecuredKafka) => string])[] = [
    ["PLAIN", ({ sasl }) => `kafka://${account}@${sasl}?sasl=plain`],
    ["SCRAM-SHA-256", ({ sasl }) => `kafka://${account}@${sasl}?sasl=scram-sha-256`],
    ["SCRAM-SHA-512, which goes without saying", ({ sasl }) => `kafka://${account}@${sasl}`],
    [
      "PLAIN in TLS",
      ({ saslTls, certificates }) =>
        `kafkas://${account}@${saslTls}?sasl=plain&cacertfile=${certificates.authority}`,
    ],
    [
      "SCRAM in TLS",
      ({ saslTls, certificates }) => `kafkas://${account}@${saslTls}?cacertfile=${certificates.authority}`,
    ],
    [
      "TLS and a certificate of its own",
      ({ mutualTls, certificates }) =>
        `kafkas://${mutualTls}?cacertfile=${certificates.authority}&${filesOf(certificates.client)}`,
    ],
    [
      "TLS that trusts anybody",
      ({ saslTls }) => `kafkas://${account}@${byAddress(saslTls)}?verify=verify_none`,
    ],
  ];
  test.each(ways)(
    "tasks come in and events go out by %s",
    async (_, url) => {
      const submit = (text: string) =>
        producer.send({ messages: [{ topic: "tasktrack.submit", value: Buffer.from(text) }], acks: -1 });
      await expectBothWays(url(server), { submit, heard });
    },
    60_000,
  );

  const wrong = accountOf({ ...ACCOUNT, ...WRONG });
  const refusals: readonly Refusal<SecuredKafka>[] = [
    {
      name: "with another password by PLAIN",
      at: ({ sasl }) => sasl,
      url: (_, port) => `kafka://${wrong}@127.0.0.1:${port}?sasl=plain`,
      reason: /caused by: SASL authentication failed/,
    },
    {
      name: "with another password by SCRAM",
      at: ({ saslTls }) => saslTls,
      url: ({ certificates }, port) =>
        `kafkas://${wrong}@localhost:${port}?cacertfile=${certificates.authority}`,
      reason: /caused by: SASL authentication failed/,
    },
    {
      name: "with a stranger's certificate",
      at: ({ mutualTls }) => mutualTls,
      url: ({ certificates }, port) =>
        `kafkas://127.0.0.1:${port}?cacertfile=${certificates.authority}&${filesOf(certificates.stranger)}`,
      reason: /Connection closed/,
    },
    {
      name: "by a server of an unknown authority",
      at: ({ saslTls }) => saslTls,
      url: (_, port) => `kafkas://${account}@localhost:${port}`,
      reason: /caused by: (self.signed certificate|unable to verify)/,
    },
    {
      name: "by a server of another name",
      at: ({ saslTls }) => saslTls,
      url: ({ certificates }, port) =>
        `kafkas://${account}@127.0.0.1:${port}?cacertfile=${certificates.authority}`,
      reason: /caused by: .*127\.0\.0\.1 is not in the cert's list/,
    },
  ];
  testRefusals(refusals, () => server);
});
