/** What QUEUE_URL says, as the two clients want it, with the files that it names. */
import { readFileSync } from "node:fs";
import { createSecureContext, type ConnectionOptions as TlsOptions } from "node:tls";
import type { ConnectionOptions as KafkaConnectionOptions } from "@platformatic/kafka";
import type { ConnectionOptions as RabbitmqConnectionOptions } from "rabbitmq-client";
import { TaskError } from "../core/error.ts";
import { type KafkaUrl, parseBrokerUrl, type RabbitmqUrl, type TlsFiles } from "./broker-url.ts";
import { type Names, namesUnder } from "./names.ts";

/** The connection for `new Connection(…)`. Throws a TaskError for a URL or a file that cannot be right. */
export function rabbitmqOptions(url: string): {
  readonly connection: RabbitmqConnectionOptions;
  readonly names: Names;
} {
  const { host, account, vhost, tls, prefix, heartbeatSeconds, connectionTimeoutMs } = rabbitmqUrl(url);
  const connection = {
    hostname: host.host,
    port: host.port,
    username: account.user,
    password: account.password,
    vhost,
    ...(tls === null ? {} : { tls: tlsOptions(tls) }),
    ...(heartbeatSeconds === null ? {} : { heartbeat: heartbeatSeconds }),
    ...(connectionTimeoutMs === null ? {} : { connectionTimeout: connectionTimeoutMs }),
  };
  return { connection, names: namesUnder(prefix) };
}

export type KafkaConnection = Pick<KafkaConnectionOptions, "sasl" | "tls"> & {
  readonly bootstrapBrokers: { readonly host: string; readonly port: number }[];
};

/** The connection for `new Producer(…)` and its like, beside their `clientId`. Throws a TaskError for a URL or a file that cannot be right. */
export function kafkaOptions(url: string): {
  readonly connection: KafkaConnection;
  readonly partitions: number;
  readonly names: Names;
} {
  const { hosts, sasl, tls, prefix, partitions } = kafkaUrl(url);
  return {
    connection: {
      bootstrapBrokers: [...hosts],
      ...(sasl === null ? {} : { sasl: saslOptions(sasl) }),
      ...(tls === null ? {} : { tls: tlsOptions(tls) }),
    },
    partitions,
    names: namesUnder(prefix),
  };
}

function rabbitmqUrl(url: string): RabbitmqUrl {
  const broker = parseBrokerUrl(url);
  if (broker.kind !== "rabbitmq") throw new Error("the URL is not RabbitMQ's");
  return broker;
}

function kafkaUrl(url: string): KafkaUrl {
  const broker = parseBrokerUrl(url);
  if (broker.kind !== "kafka") throw new Error("the URL is not Kafka's");
  return broker;
}

const MECHANISMS = {
  plain: "PLAIN",
  "scram-sha-256": "SCRAM-SHA-256",
  "scram-sha-512": "SCRAM-SHA-512",
} as const;

const saslOptions = ({ mechanism, user, password }: NonNullable<KafkaUrl["sasl"]>) => ({
  mechanism: MECHANISMS[mechanism],
  username: user,
  password,
});

/** The server's name, which is asked for and compared, is the host that the client connects to. */
function tlsOptions({ authority, own, isVerified }: TlsFiles): TlsOptions {
  const options = {
    rejectUnauthorized: isVerified,
    ...(authority === null ? {} : { ca: pem("cacertfile", authority, "CERTIFICATE") }),
    ...(own === null
      ? {}
      : {
          cert: pem("certfile", own.certificate, "CERTIFICATE"),
          key: pem("keyfile", own.key, "PRIVATE KEY"),
        }),
  };
  try {
    createSecureContext(options); // else the client would throw when it connects, where nobody can say why
  } catch (error) {
    throw refusal(
      "certificates, and a key without a passphrase that belongs to certfile, as PEM",
      messageOf(error),
    );
  }
  return options;
}

function pem(parameter: string, path: string, kind: string): string {
  const wanted = `${parameter} to name a PEM file with a ${kind.toLowerCase()}`;
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw refusal(wanted, messageOf(error));
  }
  if (!text.includes(`${kind}-----`)) throw refusal(wanted, JSON.stringify(path));
  return text;
}

const refusal = (what: string, came: string): TaskError =>
  new TaskError("invalid", `QUEUE_URL: expected ${what}, got ${came}`);

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
