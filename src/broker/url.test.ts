import { describe, expect, test } from "bun:test";
import { isTaskError } from "../core/error.ts";
import { type KafkaUrl, parseBrokerUrl, type RabbitmqUrl } from "./url.ts";

function refusalOf(url: string): string {
  try {
    parseBrokerUrl(url);
  } catch (error) {
    if (isTaskError(error, "invalid")) return error.message;
    throw error;
  }
  throw new Error("it was accepted");
}

const RABBITMQ: RabbitmqUrl = {
  kind: "rabbitmq",
  host: { host: "h", port: 5672 },
  account: { user: "guest", password: "guest" },
  vhost: "/",
  prefix: "tasktrack",
  tls: null,
  heartbeatSeconds: null,
  connectionTimeoutMs: null,
};
const KAFKA: KafkaUrl = {
  kind: "kafka",
  hosts: [{ host: "h", port: 1 }],
  sasl: null,
  tls: null,
  prefix: "tasktrack",
  partitions: 6,
};
const TLS = { authority: null, own: null, isVerified: true };
const SCRAM = { user: "u", password: "p", mechanism: "scram-sha-512" } as const;

describe("RabbitMQ:", () => {
  const secured = { ...RABBITMQ, host: { host: "h", port: 5671 }, tls: TLS };
  const rows: readonly (readonly [string, RabbitmqUrl])[] = [
    ["amqp://h", RABBITMQ],
    ["amqp://h/", RABBITMQ],
    ["amqp://h:1", { ...RABBITMQ, host: { host: "h", port: 1 } }],
    ["amqp://[::1]:1", { ...RABBITMQ, host: { host: "::1", port: 1 } }],
    ["amqp://[::1]", { ...RABBITMQ, host: { host: "::1", port: 5672 } }],
    ["amqp://u:p@h", { ...RABBITMQ, account: { user: "u", password: "p" } }],
    ["amqp://u%40x:%3A%2F%25+%3F%23@h", { ...RABBITMQ, account: { user: "u@x", password: ":/%+?#" } }],
    ["amqp://u:p:q@h", { ...RABBITMQ, account: { user: "u", password: "p:q" } }],
    ["amqp://u:p@q@h", { ...RABBITMQ, account: { user: "u", password: "p@q" } }],
    ["amqp://h/prod", { ...RABBITMQ, vhost: "prod" }],
    ["amqp://h/%2Fprod", { ...RABBITMQ, vhost: "/prod" }],
    ["amqp://h/%2f", { ...RABBITMQ, vhost: "/" }],
    ["amqp://h/a%20b%2Fc", { ...RABBITMQ, vhost: "a b/c" }],
    ["amqp://h?prefix=staging", { ...RABBITMQ, prefix: "staging" }],
    ["amqp://h?heartbeat=0", { ...RABBITMQ, heartbeatSeconds: 0 }],
    [
      "amqp://h/?heartbeat=5&connection_timeout=1000",
      { ...RABBITMQ, heartbeatSeconds: 5, connectionTimeoutMs: 1_000 },
    ],
    ["amqps://h", secured],
    ["amqps://h?verify=verify_peer", secured],
    ["amqps://h?verify=verify_none", { ...secured, tls: { ...TLS, isVerified: false } }],
    ["amqps://h?cacertfile=/etc/a+b%26c.pem", { ...secured, tls: { ...TLS, authority: "/etc/a+b&c.pem" } }],
    [
      "amqps://h?cacertfile=ca.pem&certfile=c.pem&keyfile=k.pem",
      { ...secured, tls: { ...TLS, authority: "ca.pem", own: { certificate: "c.pem", key: "k.pem" } } },
    ],
  ];
  test.each(rows)("%s", (url, expected) => {
    expect(parseBrokerUrl(url)).toEqual(expected);
  });
});

describe("Kafka:", () => {
  const rows: readonly (readonly [string, KafkaUrl])[] = [
    ["kafka://h:1", KAFKA],
    ["kafka://h:1/", KAFKA],
    [
      "kafka://a:1,b.example:65535,[::1]:3",
      {
        ...KAFKA,
        hosts: [
          { host: "a", port: 1 },
          { host: "b.example", port: 65_535 },
          { host: "::1", port: 3 },
        ],
      },
    ],
    ["kafka://h:1?prefix=my.own_tasks-2", { ...KAFKA, prefix: "my.own_tasks-2" }],
    ["kafka://h:1?partitions=1", { ...KAFKA, partitions: 1 }],
    ["kafka://h:1/?partitions=9999", { ...KAFKA, partitions: 9_999 }],
    ["kafka://u:p@h:1", { ...KAFKA, sasl: SCRAM }],
    ["kafka://u:p@h:1?sasl=plain", { ...KAFKA, sasl: { ...SCRAM, mechanism: "plain" } }],
    ["kafka://u:p@h:1?sasl=SCRAM-SHA-256", { ...KAFKA, sasl: { ...SCRAM, mechanism: "scram-sha-256" } }],
    ["kafka://u:p@h:1?sasl=scram-sha-512", { ...KAFKA, sasl: SCRAM }],
    ["kafka://u%3Ax:p%2C%40%20@h:1", { ...KAFKA, sasl: { ...SCRAM, user: "u:x", password: "p,@ " } }],
    ["kafkas://h:1", { ...KAFKA, tls: TLS }],
    [
      "kafkas://u:p@h:1?partitions=3&cacertfile=ca.pem&verify=verify_none",
      { ...KAFKA, partitions: 3, sasl: SCRAM, tls: { ...TLS, authority: "ca.pem", isVerified: false } },
    ],
    [
      "kafkas://h:1?keyfile=k.pem&certfile=c.pem",
      { ...KAFKA, tls: { ...TLS, own: { certificate: "c.pem", key: "k.pem" } } },
    ],
  ];
  test.each(rows)("%s", (url, expected) => {
    expect(parseBrokerUrl(url)).toEqual(expected);
  });
});

const partitions = (text: string): string => `kafka://h:1?partitions=${text}`;

describe("an invalid URL is refused with what was expected:", () => {
  const RABBITMQ_SHAPE = "amqp(s)://user:password@host:port/vhost, with each character";
  const KAFKA_SHAPE = "kafka(s)://user:password@host:port,host:port, with each character";
  const rows: readonly (readonly [string, readonly string[]])[] = [
    [
      RABBITMQ_SHAPE,
      ["amqp://@h", "amqp://h/a/b", "amqp://h,i", "amqp://h:0", "amqp://h:65536", "amqp://h:x", "amqp://::1"],
    ],
    [RABBITMQ_SHAPE, ["amqp://u@h", "amqp://u:@h", "amqp://:p@h", "amqp://u:%@h", "amqp://h/%zz"]],
    [RABBITMQ_SHAPE, ["amqp://u:p/q@h", "amqp://u:1/q@h", "amqps://u:p#q@h", "amqps://u:1#q@h"]],
    [
      KAFKA_SHAPE,
      ["kafka://h", "kafka://h:1,", "kafka://h:1,i", "kafka://:1", "kafka://h:0", "kafka://h:1/t"],
    ],
    [KAFKA_SHAPE, ["kafka://u@h:1", "kafka://u:@h:1", "kafka://u:p/q@h:1", "kafkas://u:p#q@h:1"]],
    [
      "no parameters but prefix, cacertfile, certfile, keyfile, verify, heartbeat, connection_timeout, each once",
      [
        "amqp://h?sasl=plain",
        "amqps://h?cacertfile=",
        "amqps://h?cacertfile=%",
        "amqp://h?heartbeat=1&heartbeat=1",
      ],
    ],
    [
      "no parameters but prefix, partitions, sasl, cacertfile, certfile, keyfile, verify, each once",
      ["kafka://h:1?acks=0", "kafka://h:1?partitions", "kafka://u:1?q@h:1"],
    ],
    [
      "partitions to be a whole number from 1 to 9999",
      ["0", "-1", "x", "1.5", "10000", "1e3"].map(partitions),
    ],
    ["heartbeat to be a whole number from 0 to 65535", ["amqp://h?heartbeat=x", "amqp://h?heartbeat=65536"]],
    [
      "connection_timeout to be a whole number from 1 to 999999",
      ["amqp://h?connection_timeout=0", "amqp://h?connection_timeout=1s"],
    ],
    [
      "sasl to be one of plain, scram-sha-256, scram-sha-512",
      ["kafka://u:p@h:1?sasl=oauthbearer", "kafka://h:1?sasl=scram"],
    ],
    ["a user and a password, because sasl is given", ["kafka://h:1?sasl=plain", "kafkas://h:1?sasl=plain"]],
    [
      "prefix to be up to 100 letters, digits, dots, dashes and underscores",
      ["amqp://h?prefix=a%2Fb", "kafka://h:1?prefix=%20", `kafka://h:1?prefix=${"x".repeat(101)}`],
    ],
    ["certfile and keyfile together", ["amqps://h?certfile=c", "kafkas://h:1?keyfile=k"]],
    ["verify to be verify_peer or verify_none", ["amqps://h?verify=none", "kafkas://h:1?verify=0"]],
    [
      "amqps://, because of cacertfile, certfile, keyfile or verify",
      ["amqp://h?cacertfile=c", "amqp://h?verify=verify_none"],
    ],
    [
      "kafkas://, because of cacertfile, certfile, keyfile or verify",
      ["kafka://h:1?certfile=c&keyfile=k", "kafka://u:p@h:1?verify=verify_peer"],
    ],
  ];
  const cases = rows.flatMap(([expected, urls]) => urls.map((url) => [url, expected] as const));
  test.each(cases)("%s", (url, expected) => {
    expect(refusalOf(url)).toStartWith(expected);
  });
});
