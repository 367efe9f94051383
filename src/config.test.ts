import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { parseEnv } from "node:util";
import { type Config, envExample, readConfig, settings } from "./config.ts";
import { isTaskError } from "./core/error.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** The sentence with which a configuration is refused. */
function refusalOf(sources: Parameters<typeof readConfig>[0]): string {
  try {
    readConfig(sources);
  } catch (error) {
    if (isTaskError(error, "invalid")) return error.message;
    throw error;
  }
  throw new Error("it was accepted");
}

const DEFAULTS: Config = {
  httpHost: "0.0.0.0",
  httpPort: 8_080,
  appMode: "release",
  logLevel: "info",
  allowedHosts: [],
  storeUrl: "memory:",
  queueUrl: "",
  events: "on",
  role: "all",
  processes: 1,
  workerConcurrency: 10,
  handlers: "",
  handlerProcesses: "cores",
  httpAllowPrivate: "",
  dispatchIntervalMs: SECOND,
  leaseMs: 30 * SECOND,
  simulateMinMs: 3 * MINUTE,
  simulateMaxMs: 5 * MINUTE,
  simulateFailureRate: 0.2,
  shutdownGraceMs: 25 * SECOND,
  retentionDoneMs: 168 * HOUR,
  retentionFailedMs: 720 * HOUR,
  allowVolatileRedis: false,
};

describe("without any settings the configuration is the default:", () => {
  const empties = Object.fromEntries(settings.map(({ name }) => [name, ""]));
  const emptyFlags = Object.fromEntries(settings.map(({ flag }) => [flag, ""]));
  test.each([
    ["nothing is given", {}],
    ["all that is given is empty", { flags: emptyFlags, env: empties, file: empties }],
    ["names of other programs are given", { env: { PORT: "1", HOST: "x", TASKTRACK_PORT: "2" } }],
  ])("%s", (_, sources) => {
    expect(readConfig(sources)).toEqual(DEFAULTS);
  });
});

const named = (name: string, port: number | null = null) => ({ name, isWildcard: false, port });

describe("a good value is taken:", () => {
  const rows: readonly (readonly [string, string, Partial<Config>])[] = [
    ["HTTP_HOST", "::1", { httpHost: "::1" }],
    ["HTTP_PORT", "0", { httpPort: 0 }],
    ["HTTP_PORT", "65535", { httpPort: 65_535 }],
    ["HTTP_PORT", " 80 ", { httpPort: 80 }],
    ["APP_MODE", "debug", { appMode: "debug" }],
    ["APP_MODE", "TEST", { appMode: "test" }],
    ["APP_MODE", "Release", { appMode: "release" }],
    ["LOG_LEVEL", "warning", { logLevel: "warn" }],
    ["LOG_LEVEL", "WARNING", { logLevel: "warn" }],
    ["LOG_LEVEL", "warn", { logLevel: "warn" }],
    ["LOG_LEVEL", "Debug", { logLevel: "debug" }],
    ["LOG_LEVEL", "ERROR", { logLevel: "error" }],
    ["ALLOWED_HOSTS", "a.example", { allowedHosts: [named("a.example")] }],
    ["ALLOWED_HOSTS", " A.example ,, b.Example,", { allowedHosts: [named("a.example"), named("b.example")] }],
    [
      "ALLOWED_HOSTS",
      "*.example.:8443",
      { allowedHosts: [{ ...named("example", 8_443), isWildcard: true }] },
    ],
    ["STORE_URL", "memory:", { storeUrl: "memory:" }],
    ...[
      "sqlite:tasks.db",
      "sqlite:/var/lib/a b/tasks.db",
      "postgres://u:p@h:5433/d?schema=s",
      "postgresql://h/d",
      "redis://h",
      "rediss://:p@h:6380/2",
      "valkey://h",
    ].map((url) => ["STORE_URL", url, { storeUrl: url }] as const),
    ["QUEUE_URL", "amqp://h/v", { queueUrl: "amqp://h/v" }],
    ...["amqp://h/v", "amqps://u:p@h", "kafka://a:1,b:2?partitions=12", "kafkas://u:p@h:1?sasl=plain"].map(
      (url) => ["QUEUE_URL", url, { queueUrl: url }] as const,
    ),
    ["EVENTS", "OFF", { events: "off" }],
    ["ROLE", "api", { role: "api" }],
    ["ALLOW_VOLATILE_REDIS", "1", { allowVolatileRedis: true }],
    ["PROCESSES", "1", { processes: 1 }],
    ["HANDLERS", "./my handlers.ts", { handlers: "./my handlers.ts" }],
    ["HANDLER_PROCESSES", "cores", { handlerProcesses: "cores" }],
    ["HANDLER_PROCESSES", "1", { handlerProcesses: 1 }],
    ["HTTP_ALLOW_PRIVATE", "10.0.0.0/8,::1", { httpAllowPrivate: "10.0.0.0/8,::1" }],
    ["HTTP_ALLOW_PRIVATE", "1", { httpAllowPrivate: "1" }],
    ["WORKER_CONCURRENCY", "1", { workerConcurrency: 1 }],
    ["WORKER_CONCURRENCY", "1000000", { workerConcurrency: 1_000_000 }],
    ["DISPATCH_INTERVAL", "0s", { dispatchIntervalMs: 0 }],
    ["DISPATCH_INTERVAL", "0", { dispatchIntervalMs: 0 }],
    ["DISPATCH_INTERVAL", "1m30.5s", { dispatchIntervalMs: 90_500 }],
    ["LEASE", "1s", { leaseMs: SECOND }],
    ["LEASE", "2.0005s", { leaseMs: 2_001 }],
    ["SIMULATE_MIN", "250ms", { simulateMinMs: 250 }],
    ["SIMULATE_MAX", "1h30m", { simulateMaxMs: 90 * MINUTE }],
    ["SIMULATE_FAILURE_RATE", "0", { simulateFailureRate: 0 }],
    ["SIMULATE_FAILURE_RATE", "1.0", { simulateFailureRate: 1 }],
    ["SIMULATE_FAILURE_RATE", "0.75", { simulateFailureRate: 0.75 }],
    ["SHUTDOWN_GRACE", "0s", { shutdownGraceMs: 0 }],
    ["RETENTION_DONE", "0s", { retentionDoneMs: 0 }],
    ["RETENTION_FAILED", "1h", { retentionFailedMs: HOUR }],
  ];
  test.each(rows)("%s=%s", (name, value, expected) => {
    expect(readConfig({ env: { [name]: value } })).toEqual({ ...DEFAULTS, ...expected });
  });
});

describe("the error for an invalid value has its name, what was expected, and the value:", () => {
  const DURATION = 'a duration such as "250ms", "30s" or "1h30m"';
  const STORES = "memory:, sqlite:PATH, postgres://… or redis://…";
  const rows: readonly (readonly [string, readonly string[], string])[] = [
    ["HTTP_HOST", ["a b", "http://x", "x/"], "an address or a host name"],
    ["HTTP_PORT", ["x", "-1", "65536", "80.5", "1e3", "0x50", "8080/tcp"], "a port from 0 to 65535"],
    ["APP_MODE", ["production", "released"], "release, debug or test"],
    ["LOG_LEVEL", ["loud", "warnings", "info,debug"], "debug, info, warn, warning or error"],
    [
      "ALLOWED_HOSTS",
      [
        "https://a.example",
        "a.example/",
        "a.example;",
        "a.example b.example",
        "*",
        "a.example:x",
        "a.example,b:0",
      ],
      'host names separated by commas, such as "tasks.example.com", "tasks.example.com:8443" or "*.example.com"',
    ],
    ["STORE_URL", ["memory", "sqlite:", "postgres:h/d", "mysql://h/d", "redis://"], STORES],
    [
      "QUEUE_URL",
      ["store", "amqp://", "mqtt://h", "kafka:h:1", "kafka://h:1 ,b:2"],
      "amqp://…, amqps://…, kafka://host:port,… or kafkas://host:port,…",
    ],
    ["EVENTS", ["1", "yes"], "on or off"],
    ["ROLE", ["workers", "both"], "all, api or worker"],
    ["PROCESSES", ["0", "257", "-1", "all"], "a whole number from 1 to 256"],
    ["HANDLERS", ["a\0b"], "the path of a module"],
    ["HANDLER_PROCESSES", ["0", "257", "all"], "cores or a whole number from 1 to 256"],
    [
      "HTTP_ALLOW_PRIVATE",
      ["10.0.0.0/33", "localhost", "yes"],
      'address ranges separated by commas, such as "10.0.0.0/8,::1", or 1 for all',
    ],
    ["WORKER_CONCURRENCY", ["0", "-1", "1000001", "many", "1.5"], "a whole number from 1 to 1000000"],
    ["DISPATCH_INTERVAL", ["-1s", "1", "1 s", "soon", "1d"], DURATION],
    ["LEASE", ["999ms", "0s", "-30s", "30"], `${DURATION}, at least 1s`],
    ["SIMULATE_MIN", ["-1s", "3"], DURATION],
    ["SIMULATE_MAX", ["5 minutes"], DURATION],
    [
      "SIMULATE_FAILURE_RATE",
      ["1.1", "-0.1", "20%", ".5", "1e-1", "NaN"],
      "a share from 0 to 1, such as 0.2",
    ],
    ["SHUTDOWN_GRACE", ["forever"], DURATION],
    ["RETENTION_DONE", ["7d", "-1h"], DURATION],
    ["RETENTION_FAILED", ["x"], DURATION],
    ["ALLOW_VOLATILE_REDIS", ["yes", "2", "true"], "0 or 1"],
  ];
  const cases = rows.flatMap(([name, values, expected]) =>
    values.map((value) => [name, value, expected] as const),
  );
  test.each(cases)("%s=%s", (name, value, expected) => {
    const sentence = `${name}: expected ${expected}, got ${JSON.stringify(value)}`;
    const flag = settings.find((setting) => setting.name === name)?.flag ?? "";
    expect(refusalOf({ env: { [name]: value } })).toBe(sentence);
    expect(refusalOf({ file: { [name]: value } })).toBe(sentence);
    expect(refusalOf({ flags: { [flag]: value } })).toBe(sentence);
  });

  test("every setting that can be wrong is in the table above", () => {
    expect(rows.map(([name]) => name).sort()).toEqual(settings.map(({ name }) => name).sort());
  });

  test("the shortest simulation is no longer than the longest, by default too", () => {
    expect(refusalOf({ env: { SIMULATE_MIN: "6m" } })).toInclude("SIMULATE_MIN");
    expect(refusalOf({ env: { SIMULATE_MAX: "1s" } })).toInclude("SIMULATE_MAX");
    expect(readConfig({ env: { SIMULATE_MIN: "1s", SIMULATE_MAX: "1s" } })).toMatchObject({
      simulateMinMs: SECOND,
      simulateMaxMs: SECOND,
    });
  });

  test.each(["memory:", "sqlite:tasks.db"])("a worker needs a store that processes share, not %s", (url) => {
    expect(refusalOf({ env: { ROLE: "worker", STORE_URL: url } })).toInclude("ROLE: worker needs a store");
    expect(readConfig({ env: { ROLE: "worker", STORE_URL: "redis://h" } }).role).toBe("worker");
  });

  test.each(["memory:", "sqlite:tasks.db"])(
    "several processes need a store that they share, not %s",
    (url) => {
      expect(refusalOf({ env: { PROCESSES: "2", STORE_URL: url } })).toInclude(
        "PROCESSES: more than one need",
      );
      expect(readConfig({ env: { PROCESSES: "2", STORE_URL: "redis://h" } }).processes).toBe(2);
    },
  );

  test("the broker's URL says which of its parts is wrong", () => {
    expect(refusalOf({ env: { QUEUE_URL: "kafka://user:secret@h:1?sasl=oauth" } })).toBe(
      'QUEUE_URL: expected sasl to be one of plain, scram-sha-256, scram-sha-512, got "kafka://user:***@h:1?sasl=oauth"',
    );
  });

  test.each([
    ["STORE_URL", "mysql://user:secret@h/d", "mysql://user:***@h/d"],
    ["STORE_URL", "mysql://:secret@h/d", "mysql://:***@h/d"],
    ["STORE_URL", "mysql://user:secret:secret@h/d", "mysql://user:***@h/d"],
    ["QUEUE_URL", "amqp://user:se@secret@h:x", "amqp://user:***@h:x"],
    ["QUEUE_URL", "amqp://user:1/secret@h", "amqp://user:***@h"],
    ["QUEUE_URL", "kafka://user:se?secret@h:1", "kafka://user:***@h:1"],
    ["QUEUE_URL", "kafka://user:1?sasl=secret@h:1", "kafka://user:***@h:1"],
    ["QUEUE_URL", "kafka://user:%secret@h:1", "kafka://user:***@h:1"],
    ["QUEUE_URL", "amqps://user:se#secret@h", "amqps://user:***@h"],
  ])("an error does not show a password: %s=%s", (name, url, shown) => {
    const said = refusalOf({ env: { [name]: url } });
    expect(said).not.toInclude("secret");
    expect(said).toInclude(`got ${JSON.stringify(shown)}`);
  });

  test("an error is one line, whatever the value is", () => {
    expect(refusalOf({ env: { ROLE: "a\nb" } })).not.toInclude("\n");
  });
});

describe("a value comes from", () => {
  const port = (value: string) => ({ HTTP_PORT: value });
  test.each([
    ["the flag first", { flags: { port: "1" }, env: port("2"), file: port("3") }, 1],
    ["the environment next", { env: port("2"), file: port("3") }, 2],
    [".env last", { file: port("3") }, 3],
    ["the environment if the flag is not given", { flags: { port: undefined }, env: port("2") }, 2],
  ])("%s", (_, sources, httpPort) => {
    expect(readConfig(sources)).toEqual({ ...DEFAULTS, httpPort });
  });

  test("only one source: a value that another one replaces may be invalid", () => {
    expect(readConfig({ env: port("2"), file: port("bad") }).httpPort).toBe(2);
  });
});

describe(".env.example", () => {
  const text = readFileSync(new URL("../.env.example", import.meta.url), "utf8");

  test("is generated from the settings", () => {
    expect(text).toBe(envExample());
  });

  test("begins with the four settings of the first version", () => {
    const names = [...text.matchAll(/^([A-Z_]+)=/gm)].map(([, name]) => name);
    expect(names.slice(0, 4)).toEqual(["HTTP_HOST", "HTTP_PORT", "APP_MODE", "LOG_LEVEL"]);
  });

  test("has every setting once, each after a comment with its meaning", () => {
    const lines = text.split("\n");
    for (const { name, fallback, about } of settings) {
      const places = lines.flatMap((line, at) => (line.startsWith(`${name}=`) ? [at] : []));
      expect([name, places.length]).toEqual([name, 1]);
      const at = places[0] ?? 0;
      expect(lines[at]).toBe(`${name}=${fallback}`);
      expect(lines[at - 1]).toBe(`# ${about}`);
    }
  });

  test("is valid, and gives the default configuration", () => {
    expect(readConfig({ file: parseEnv(text) })).toEqual(DEFAULTS);
  });
});

test("the README has a row for every setting", () => {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const named = [...readme.matchAll(/^\| ([A-Z_]+(?:, [A-Z_]+)*) \|/gm)].flatMap(([, names = ""]) =>
    names.split(", "),
  );
  expect(named.sort()).toEqual(settings.map(({ name }) => name).sort());
});
