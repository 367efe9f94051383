import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCertificates } from "../../test/support/servers/certificates.ts";
import { isTaskError } from "../core/error.ts";
import { kafkaOptions } from "./kafka/options.ts";
import { namesUnder } from "./names.ts";
import { rabbitmqOptions } from "./rabbitmq/options.ts";

const folder = mkdtempSync(join(tmpdir(), "tasktrack-"));
afterAll(() => rm(folder, { recursive: true }));
const { authority, client, stranger } = createCertificates(folder);
const text = (path: string): string => readFileSync(path, "utf8");
const OWN = `certfile=${client.certificate}&keyfile=${client.key}`;

test("RabbitMQ's client gets the options of the URL, and no others", () => {
  expect(rabbitmqOptions("amqp://h")).toEqual({
    connection: { hostname: "h", port: 5672, username: "guest", password: "guest", vhost: "/" },
    names: namesUnder("tasktrack"),
  });
  const url = `amqps://u:p%40@[::1]:1/%2Fv?heartbeat=5&connection_timeout=9&cacertfile=${authority}&${OWN}`;
  expect(rabbitmqOptions(url).connection).toEqual({
    ...{ hostname: "::1", port: 1, username: "u", password: "p@", vhost: "/v" },
    ...{ heartbeat: 5, connectionTimeout: 9 },
    tls: {
      rejectUnauthorized: true,
      ca: text(authority),
      cert: text(client.certificate),
      key: text(client.key),
    },
  });
});

test("Kafka's client gets the options of the URL, and no others", () => {
  expect(kafkaOptions("kafka://h:1")).toEqual({
    connection: { bootstrapBrokers: [{ host: "h", port: 1 }] },
    partitions: 6,
    names: namesUnder("tasktrack"),
  });
  expect(
    kafkaOptions("kafkas://u:p@h:1,i:2?sasl=plain&partitions=2&verify=verify_none&prefix=staging"),
  ).toEqual({
    connection: {
      bootstrapBrokers: [
        { host: "h", port: 1 },
        { host: "i", port: 2 },
      ],
      sasl: { mechanism: "PLAIN", username: "u", password: "p" },
      tls: { rejectUnauthorized: false },
    },
    partitions: 2,
    names: namesUnder("staging"),
  });
  const { connection } = kafkaOptions(`kafkas://h:1?cacertfile=${authority}&${OWN}`);
  expect(connection.tls).toEqual({
    rejectUnauthorized: true,
    ca: text(authority),
    cert: text(client.certificate),
    key: text(client.key),
  });
});

describe("a file that cannot be used is refused in a line that names its parameter:", () => {
  const empty = join(folder, "empty");
  const broken = join(folder, "broken");
  const missing = join(folder, "missing");

  test.each([
    ["is missing", `cacertfile=${missing}`, "cacertfile to name a PEM file with a certificate"],
    ["is a folder", `cacertfile=${folder}`, "cacertfile to name a PEM file with a certificate"],
    ["is empty", `cacertfile=${empty}`, "cacertfile to name a PEM file with a certificate"],
    ["holds a key", `cacertfile=${client.key}`, "cacertfile to name a PEM file with a certificate"],
    ["holds no key", `certfile=${client.certificate}&keyfile=${empty}`, "keyfile to name a PEM file"],
    ["holds nonsense", `cacertfile=${broken}`, "certificates, and a key"],
    [
      "is the key of another certificate",
      `certfile=${client.certificate}&keyfile=${stranger.key}`,
      "certificates, and a key",
    ],
  ])("it %s", async (_, query, expected) => {
    await writeFile(empty, "");
    await writeFile(broken, "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n");
    for (const open of [
      () => rabbitmqOptions(`amqps://u:secret@h?${query}`),
      () => kafkaOptions(`kafkas://u:secret@h:1?${query}`),
    ]) {
      const line = refusalOf(open);
      expect(line).toStartWith(`QUEUE_URL: expected ${expected}`);
      expect(line).not.toMatch(/\n|secret/);
    }
  });

  function refusalOf(open: () => unknown): string {
    try {
      open();
    } catch (error) {
      if (isTaskError(error, "invalid")) return error.message;
      throw error;
    }
    throw new Error("it was accepted");
  }
});
