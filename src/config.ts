/** The only reader of the environment: every setting, its default and its meaning in one table. */

import { parseBrokerUrl } from "./broker/url.ts";
import { parseDurationMs } from "./core/duration.ts";
import { isTaskError, TaskError } from "./core/error.ts";
import { parseAllowance } from "./lib/addresses.ts";
import { type HostPattern, parseHostPattern } from "./lib/host-patterns.ts";
import { type Level, LOG_LEVELS } from "./lib/log.ts";

/** The value of a setting's text; null if the text is not valid. */
type Parse<T> = (text: string) => T | null;

type Setting<T> = {
  readonly name: string;
  readonly flag: string;
  readonly fallback: string;
  readonly about: string;
  readonly expected: string;
  readonly parse: Parse<T>;
};

const oneOf =
  <T extends string>(...words: readonly T[]): Parse<T> =>
  (text) =>
    words.find((word) => word === text.toLowerCase()) ?? null;

const integer =
  (least: number, most: number): Parse<number> =>
  (text) =>
    /^\d{1,9}$/.test(text) && Number(text) >= least && Number(text) <= most ? Number(text) : null;

const duration =
  (leastMs: number): Parse<number> =>
  (text) => {
    const ms = parseDurationMs(text);
    return ms === null || ms < leastMs ? null : ms;
  };

const onOff: Parse<boolean> = (text) => (/^[01]$/.test(text) ? text === "1" : null);

const share: Parse<number> = (text) => (/^(0(\.\d+)?|1(\.0+)?)$/.test(text) ? Number(text) : null);

const logLevel: Parse<Level> = (text) =>
  oneOf(...LOG_LEVELS)(text.toLowerCase() === "warning" ? "warn" : text);

const hostPatterns: Parse<readonly HostPattern[]> = (text) => {
  const names = text.split(",").map((name) => name.trim());
  const patterns = names.filter((name) => name !== "").map(parseHostPattern);
  return patterns.every((pattern) => pattern !== null) ? patterns : null;
};

const STORE_URL = /^(memory:|sqlite:.+|(postgres|postgresql|redis|rediss|valkey|valkeys):\/\/\S+)$/;

/** The part after the scheme is checked when all settings are read: those errors say more than this check can. */
const QUEUE_URL = /^((amqps?|kafkas?):\/\/\S+)?$/;
const QUEUE_URLS = "amqp://…, amqps://…, kafka://host:port,… or kafkas://host:port,…";

const storeUrl: Parse<string> = (text) => (STORE_URL.test(text) && !text.includes("\0") ? text : null);

/** Whether several processes can use the store: it is a server, not a part of one process. */
export const isSharedStore = (url: string): boolean => !/^(memory|sqlite):/.test(url);

const DURATION = 'a duration such as "250ms", "30s" or "1h30m"';

const SETTINGS = {
  httpHost: {
    name: "HTTP_HOST",
    flag: "host",
    fallback: "0.0.0.0",
    about: "the address on which the server listens",
    expected: "an address or a host name",
    parse: (text: string) => (/^[^\s/]+$/.test(text) ? text : null),
  },
  httpPort: {
    name: "HTTP_PORT",
    flag: "port",
    fallback: "8080",
    about: "the port on which the server listens; 0 chooses a free one",
    expected: "a port from 0 to 65535",
    parse: integer(0, 65_535),
  },
  appMode: {
    name: "APP_MODE",
    flag: "mode",
    fallback: "release",
    about: "release, debug (pretty log lines on a terminal) or test",
    expected: "release, debug or test",
    parse: oneOf("release", "debug", "test"),
  },
  logLevel: {
    name: "LOG_LEVEL",
    flag: "log-level",
    fallback: "info",
    about: "debug, info, warn (or warning) or error; the log has one JSON line for each event",
    expected: "debug, info, warn, warning or error",
    parse: logLevel,
  },
  allowedHosts: {
    name: "ALLOWED_HOSTS",
    flag: "allowed-hosts",
    fallback: "",
    about:
      "host names, separated by commas, under which browsers may open the server, in addition to localhost, IP addresses and HTTP_HOST; *.example.com means every name below it, tasks.example.com:8443 also allows pages from that port",
    expected: `host names separated by commas, such as "tasks.example.com", "tasks.example.com:8443" or "*.example.com"`,
    parse: hostPatterns,
  },
  storeUrl: {
    name: "STORE_URL",
    flag: "store",
    fallback: "memory:",
    about:
      "the store of the tasks: memory: (lost when the process ends), sqlite:PATH, postgres://… or redis://…",
    expected: "memory:, sqlite:PATH, postgres://… or redis://…",
    parse: storeUrl,
  },
  queueUrl: {
    name: "QUEUE_URL",
    flag: "queue",
    fallback: "",
    about: `a broker that delivers submissions, wakes processes that share a store, and publishes events: ${QUEUE_URLS}; empty: none`,
    expected: QUEUE_URLS,
    parse: (text: string) => (QUEUE_URL.test(text) ? text : null),
  },
  events: {
    name: "EVENTS",
    flag: "events",
    fallback: "on",
    about: "whether changes of tasks are published to the broker of QUEUE_URL: on or off",
    expected: "on or off",
    parse: oneOf("on", "off"),
  },
  role: {
    name: "ROLE",
    flag: "role",
    fallback: "all",
    about:
      "all, api (accepts tasks, runs none) or worker (runs tasks, serves only /livez and /readyz); worker needs a shared store",
    expected: "all, api or worker",
    parse: oneOf("all", "api", "worker"),
  },
  processes: {
    name: "PROCESSES",
    flag: "processes",
    fallback: "1",
    about: "how many processes serve the port, each with its own workers; more than one need a shared store",
    expected: "a whole number from 1 to 256",
    parse: integer(1, 256),
  },
  workerConcurrency: {
    name: "WORKER_CONCURRENCY",
    flag: "concurrency",
    fallback: "10",
    about: "how many tasks a process runs at the same time",
    expected: "a whole number from 1 to 1000000",
    parse: integer(1, 1_000_000),
  },
  handlers: {
    name: "HANDLERS",
    flag: "handlers",
    fallback: "",
    about:
      "a TypeScript or JavaScript module whose default export maps types to handlers; the server then also runs tasks of these types",
    expected: "the path of a module",
    parse: (text: string) => (text.includes("\0") ? null : text),
  },
  handlerProcesses: {
    name: "HANDLER_PROCESSES",
    flag: "handler-processes",
    fallback: "cores",
    about:
      "how many processes run the module's handlers; cores: as many as the machine has cores, divided among PROCESSES",
    expected: "cores or a whole number from 1 to 256",
    parse: (text: string) => (text === "cores" ? ("cores" as const) : integer(1, 256)(text)),
  },
  httpAllowPrivate: {
    name: "HTTP_ALLOW_PRIVATE",
    flag: "http-allow-private",
    fallback: "",
    about:
      "private addresses that handlers made by http() may call: ranges separated by commas, or 1 for all; each handler may allow more",
    expected: 'address ranges separated by commas, such as "10.0.0.0/8,::1", or 1 for all',
    parse: (text: string) => (parseAllowance(text) === null ? null : text),
  },
  dispatchIntervalMs: {
    name: "DISPATCH_INTERVAL",
    flag: "dispatch-interval",
    fallback: "1s",
    about:
      "how often the dispatcher polls the store; a simulated task is due this long after its creation; 0s: at once",
    expected: DURATION,
    parse: duration(0),
  },
  leaseMs: {
    name: "LEASE",
    flag: "lease",
    fallback: "30s",
    about: "how long a claimed task belongs to its worker without a heartbeat",
    expected: `${DURATION}, at least 1s`,
    parse: duration(1_000),
  },
  simulateMinMs: {
    name: "SIMULATE_MIN",
    flag: "simulate-min",
    fallback: "3m",
    about: "the shortest duration of simulated work",
    expected: DURATION,
    parse: duration(0),
  },
  simulateMaxMs: {
    name: "SIMULATE_MAX",
    flag: "simulate-max",
    fallback: "5m",
    about: "the longest duration of simulated work",
    expected: DURATION,
    parse: duration(0),
  },
  simulateFailureRate: {
    name: "SIMULATE_FAILURE_RATE",
    flag: "failure-rate",
    fallback: "0.2",
    about: "the share of simulated tasks that fail",
    expected: "a share from 0 to 1, such as 0.2",
    parse: share,
  },
  shutdownGraceMs: {
    name: "SHUTDOWN_GRACE",
    flag: "shutdown-grace",
    fallback: "25s",
    about: "how long running tasks may continue after SIGTERM",
    expected: DURATION,
    parse: duration(0),
  },
  retentionDoneMs: {
    name: "RETENTION_DONE",
    flag: "retention-done",
    fallback: "168h",
    about: "how long done tasks are kept; 0s keeps them without limit",
    expected: DURATION,
    parse: duration(0),
  },
  retentionFailedMs: {
    name: "RETENTION_FAILED",
    flag: "retention-failed",
    fallback: "720h",
    about: "how long failed and cancelled tasks are kept; 0s keeps them without limit",
    expected: DURATION,
    parse: duration(0),
  },
  allowVolatileRedis: {
    name: "ALLOW_VOLATILE_REDIS",
    flag: "allow-volatile-redis",
    fallback: "0",
    about: "1 allows a Redis that may evict keys or does not persist; by default it is refused",
    expected: "0 or 1",
    parse: onOff,
  },
} satisfies Record<string, Setting<unknown>>;

type Settings = typeof SETTINGS;
export type Config = { readonly [K in keyof Settings]: NonNullable<ReturnType<Settings[K]["parse"]>> };

/** The source of `--help` and `.env.example`. */
export const settings: readonly Omit<Setting<unknown>, "parse">[] = Object.values(SETTINGS);

type Texts = Readonly<Record<string, string | undefined>>;

/**
 * Reads all settings: a flag wins over the environment, which wins over the `.env` file; an empty text is the default. Throws a
 * TaskError whose message names the setting, the expected value and the given one.
 * @param sources.flags by flag name, without the dashes
 */
export function readConfig(sources: {
  readonly flags?: Texts;
  readonly env?: Texts;
  readonly file?: Texts;
}): Config {
  const read = ([key, setting]: [string, Setting<unknown>]): [string, unknown] => {
    const given =
      sources.flags?.[setting.flag] ?? sources.env?.[setting.name] ?? sources.file?.[setting.name];
    const text = given?.trim() || setting.fallback;
    const value = setting.parse(text);
    if (value === null) throw refusal(setting.name, setting.expected, withoutPassword(text));
    return [key, value];
  };
  // The keys and their values' types are those of SETTINGS, whose entries were just mapped one to one.
  const config = Object.fromEntries(Object.entries(SETTINGS).map(read)) as Config;
  if (config.simulateMinMs > config.simulateMaxMs) {
    throw new TaskError("invalid", "SIMULATE_MIN must not be longer than SIMULATE_MAX");
  }
  if (config.role === "worker" && !isSharedStore(config.storeUrl)) {
    throw new TaskError(
      "invalid",
      "ROLE: worker needs a store that processes share; STORE_URL must be postgres://… or redis://…",
    );
  }
  if (config.processes > 1 && !isSharedStore(config.storeUrl)) {
    throw new TaskError(
      "invalid",
      "PROCESSES: more than one need a store that they share; STORE_URL must be postgres://… or redis://…",
    );
  }
  refuseBadBroker(config.queueUrl);
  return config;
}

function refuseBadBroker(url: string): void {
  try {
    if (url !== "") parseBrokerUrl(url);
  } catch (error) {
    if (!isTaskError(error, "invalid")) throw error;
    throw refusal("QUEUE_URL", error.message, withoutPassword(url));
  }
}

const refusal = (name: string, expected: string, came: string): TaskError =>
  new TaskError("invalid", `${name}: expected ${expected}, got ${JSON.stringify(came)}`);

/** A URL for output. A password that was not percent-encoded may contain any character, so it ends at the last @. */
export const withoutPassword = (url: string): string => url.replace(/(:\/\/[^:/@\s]*):.*@/s, "$1:***@");

/** The text of `.env.example`; a test keeps the file equal to it. */
export function envExample(): string {
  const entries = settings.map(({ name, fallback, about }) => `# ${about}\n${name}=${fallback}\n`);
  return entries.join("\n");
}
