import type { ConnectionOptions } from "@platformatic/kafka";
import { type Names, namesUnder } from "../names.ts";
import { tlsOptions } from "../tls-options.ts";
import { type KafkaUrl, parseBrokerUrl } from "../url.ts";

export type KafkaConnection = Pick<ConnectionOptions, "sasl" | "tls"> & {
  readonly bootstrapBrokers: { readonly host: string; readonly port: number }[];
};

/** The options of `new Producer(…)` and the other clients, apart from their `clientId`. Throws a TaskError for an invalid URL or file. */
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
