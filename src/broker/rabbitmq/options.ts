import type { ConnectionOptions } from "rabbitmq-client";
import { type Names, namesUnder } from "../names.ts";
import { tlsOptions } from "../tls-options.ts";
import { parseBrokerUrl, type RabbitmqUrl } from "../url.ts";

/** The options of `new Connection(…)`. Throws a TaskError for an invalid URL or file. */
export function rabbitmqOptions(url: string): {
  readonly connection: ConnectionOptions;
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

function rabbitmqUrl(url: string): RabbitmqUrl {
  const broker = parseBrokerUrl(url);
  if (broker.kind !== "rabbitmq") throw new Error("the URL is not RabbitMQ's");
  return broker;
}
