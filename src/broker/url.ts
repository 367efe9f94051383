/** Parses QUEUE_URL. Pure: no host is resolved and no file is read. */
import { TaskError } from "../core/error.ts";
import { PREFIX_DEFAULT } from "./names.ts";

export type BrokerUrl = RabbitmqUrl | KafkaUrl;

export type RabbitmqUrl = {
  readonly kind: "rabbitmq";
  readonly host: Host;
  readonly account: Account;
  readonly vhost: string;
  readonly tls: TlsFiles | null;
  readonly prefix: string;
  readonly heartbeatSeconds: number | null;
  readonly connectionTimeoutMs: number | null;
};

export type KafkaUrl = {
  readonly kind: "kafka";
  readonly hosts: readonly Host[];
  /** Null: no authentication, or by a client certificate. */
  readonly sasl: (Account & { readonly mechanism: SaslMechanism }) | null;
  readonly tls: TlsFiles | null;
  readonly prefix: string;
  /** The number of partitions of topics that TaskTrack creates. */
  readonly partitions: number;
};

export type Host = { readonly host: string; readonly port: number };
export type Account = { readonly user: string; readonly password: string };
export type SaslMechanism = (typeof SASL_MECHANISMS)[number];

/** Paths of PEM files. Without an authority, the runtime's certificate authorities are trusted. */
export type TlsFiles = {
  readonly authority: string | null;
  readonly own: { readonly certificate: string; readonly key: string } | null;
  /** Whether the broker's certificate and its host name are verified. */
  readonly isVerified: boolean;
};

const SASL_MECHANISMS = ["plain", "scram-sha-256", "scram-sha-512"] as const;
/**
 * The default mechanism for a URL with an account: the stronger of the two SCRAM mechanisms. SCRAM does not send the password, so the
 * default reveals nothing to a broker that has only PLAIN: that broker refuses the handshake, and the refusal is logged.
 */
const SASL_DEFAULT: SaslMechanism = "scram-sha-512";

const PARTITIONS_DEFAULT = 6;
/** The account of RabbitMQ and its clients for a URL without one. */
const GUEST: Account = { user: "guest", password: "guest" };
const RABBITMQ_PORTS = { amqp: 5672, amqps: 5671 };

const TLS_NAMES = ["cacertfile", "certfile", "keyfile", "verify"];
const RABBITMQ_NAMES = ["prefix", ...TLS_NAMES, "heartbeat", "connection_timeout"];
const KAFKA_NAMES = ["prefix", "partitions", "sasl", ...TLS_NAMES];

const RABBITMQ_SHAPE =
  "amqp(s)://user:password@host:port/vhost, with each character of user, password and vhost percent-encoded unless it is a letter or a digit,";
const KAFKA_SHAPE =
  "kafka(s)://user:password@host:port,host:port, with each character of user and password percent-encoded unless it is a letter or a digit,";

const URL_PARTS = /^(amqps?|kafkas?):\/\/(?:([^/?#\s]*)@)?([^/?#@\s]+)(?:\/([^?#@\s]*))?(?:\?([^#\s]*))?$/;
const HOST = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/;

/**
 * @param text begins with one of the four schemes
 * Throws a TaskError whose message describes the expected QUEUE_URL. It does not repeat the URL, which may have a password.
 */
export function parseBrokerUrl(text: string): BrokerUrl {
  const [, scheme = "", account, hosts = "", path = "", query = ""] = URL_PARTS.exec(text) ?? [];
  const parts = { account, hosts: hosts.split(","), path, query };
  switch (scheme) {
    case "amqp":
    case "amqps":
      return rabbitmqUrl(scheme, parts);
    case "kafka":
    case "kafkas":
      return kafkaUrl(scheme, parts);
    default:
      throw expected(/^amqps?:/.test(text) ? RABBITMQ_SHAPE : KAFKA_SHAPE);
  }
}

type Parts = {
  readonly account: string | undefined;
  readonly hosts: readonly string[];
  readonly path: string;
  readonly query: string;
};

function rabbitmqUrl(scheme: "amqp" | "amqps", parts: Parts): RabbitmqUrl {
  const [first = "", ...more] = parts.hosts;
  const host = hostOf(first, RABBITMQ_PORTS[scheme]);
  // Of several path segments the client would take the first one.
  if (host === null || more.length > 0 || parts.path.includes("/")) throw expected(RABBITMQ_SHAPE);
  const given = parametersOf(parts.query, RABBITMQ_NAMES);
  return {
    kind: "rabbitmq",
    host,
    account: accountOf(parts.account, RABBITMQ_SHAPE) ?? GUEST,
    vhost: decoded(parts.path, RABBITMQ_SHAPE) || "/",
    tls: tlsOf(given, scheme === "amqps" ? null : "amqps://"),
    prefix: prefixOf(given),
    heartbeatSeconds: wholeNumber(given, "heartbeat", { least: 0, most: 65_535 }),
    connectionTimeoutMs: wholeNumber(given, "connection_timeout", { least: 1, most: 999_999 }),
  };
}

function kafkaUrl(scheme: "kafka" | "kafkas", parts: Parts): KafkaUrl {
  const hosts = parts.hosts.map((text) => hostOf(text, null));
  if (!hosts.every((host) => host !== null) || parts.path !== "") throw expected(KAFKA_SHAPE);
  const given = parametersOf(parts.query, KAFKA_NAMES);
  return {
    kind: "kafka",
    hosts,
    sasl: saslOf(given.get("sasl"), accountOf(parts.account, KAFKA_SHAPE)),
    tls: tlsOf(given, scheme === "kafkas" ? null : "kafkas://"),
    prefix: prefixOf(given),
    partitions: wholeNumber(given, "partitions", { least: 1, most: 9_999 }) ?? PARTITIONS_DEFAULT,
  };
}

const expected = (what: string): TaskError => new TaskError("invalid", what);

/** @param port the default port; null if the URL must have a port */
function hostOf(text: string, port: number | null): Host | null {
  const [, address, name, portText] = HOST.exec(text) ?? [];
  const host = address ?? name;
  const found = portText === undefined ? port : Number(portText);
  return host === undefined || found === null || found < 1 || found > 65_535 ? null : { host, port: found };
}

function accountOf(text: string | undefined, shape: string): Account | null {
  if (text === undefined) return null;
  const colon = text.indexOf(":");
  const account = {
    user: decoded(text.slice(0, Math.max(0, colon)), shape),
    password: decoded(text.slice(colon + 1), shape),
  };
  if (account.user === "" || account.password === "") throw expected(shape);
  return account;
}

function saslOf(mechanism: string | undefined, account: Account | null): KafkaUrl["sasl"] {
  const chosen = SASL_MECHANISMS.find((one) => one === (mechanism?.toLowerCase() ?? SASL_DEFAULT));
  if (chosen === undefined) throw expected(`sasl to be one of ${SASL_MECHANISMS.join(", ")}`);
  if (account !== null) return { ...account, mechanism: chosen };
  if (mechanism !== undefined) throw expected("a user and a password, because sasl is given");
  return null;
}

/** @param instead the scheme with TLS, if this scheme has no TLS; otherwise null */
function tlsOf(given: Parameters, instead: string | null): TlsFiles | null {
  if (instead !== null) {
    if (TLS_NAMES.some((name) => given.has(name)))
      throw expected(`${instead}, because of ${alternatives(TLS_NAMES)}`);
    return null;
  }
  const [authority = null, certificate, key] = TLS_NAMES.map((name) => given.get(name));
  if ((certificate === undefined) !== (key === undefined)) throw expected("certfile and keyfile together");
  const own = certificate === undefined || key === undefined ? null : { certificate, key };
  return { authority, own, isVerified: isVerified(given.get("verify")) };
}

function isVerified(verify: string | undefined): boolean {
  if (verify !== undefined && !/^verify_(peer|none)$/.test(verify))
    throw expected("verify to be verify_peer or verify_none");
  return verify !== "verify_none";
}

/** Characters that both brokers allow in names. */
function prefixOf(given: Parameters): string {
  const prefix = given.get("prefix") ?? PREFIX_DEFAULT;
  if (!/^[\w.-]{1,100}$/.test(prefix))
    throw expected("prefix to be up to 100 letters, digits, dots, dashes and underscores");
  return prefix;
}

function wholeNumber(
  given: Parameters,
  name: string,
  { least, most }: { readonly least: number; readonly most: number },
): number | null {
  const text = given.get(name);
  if (text === undefined) return null;
  const number = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (!(number >= least && number <= most))
    throw expected(`${name} to be a whole number from ${least} to ${most}`);
  return number;
}

type Parameters = ReadonlyMap<string, string>;

/** URLSearchParams is not used: it parses form encoding, in which a plus in a file name would be a space. */
function parametersOf(query: string, names: readonly string[]): Parameters {
  const given = new Map<string, string>();
  const fault = `no parameters but ${names.join(", ")}, each once and percent-encoded,`;
  for (const pair of query.split("&").filter((text) => text !== "")) {
    const [name = "", ...rest] = pair.split("=");
    const value = decoded(rest.join("="), fault);
    if (!names.includes(name) || value === "" || given.has(name)) throw expected(fault);
    given.set(name, value);
  }
  return given;
}

const alternatives = (names: readonly string[]): string =>
  `${names.slice(0, -1).join(", ")} or ${names.at(-1)}`;

function decoded(text: string, fault: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw expected(fault);
  }
}
