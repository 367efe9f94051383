import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Certificates, createCertificates } from "./certificates.ts";
import { createServerOf, findBinary, freePort, type TestServer } from "./runner.ts";

export interface RabbitmqServer extends TestServer {
  readonly url: string;
  /** `rabbitmqctl …` on its node; throws with its output if it fails. */
  control(args: readonly string[]): Promise<void>;
}

/** The listener with TLS. Most tests use the listener without TLS. */
export type SecuredRabbitmq = RabbitmqServer & { readonly secured: RabbitmqListeners };

export type RabbitmqListeners = {
  readonly certificates: Certificates;
  /**
   * The server's certificate is for the name localhost. A client needs no certificate; if it has one, the authority must have
   * signed it.
   */
  readonly tls: string;
};

/** An account with all permissions in one virtual host, and none elsewhere. */
export type Tenant = { readonly user: string; readonly password: string; readonly vhost: string };

const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONTROL = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/**
 * A new RabbitMQ with its own node, cookie, data, and daemon by which Erlang nodes find each other.
 * @param settings lines of rabbitmq.conf; not supported for a server of compose
 */
export const createRabbitmq = (settings: readonly string[] = []): Promise<RabbitmqServer> =>
  open(async () => settings);

export async function createSecuredRabbitmq(tenant: Tenant): Promise<SecuredRabbitmq> {
  const tls = await freePort();
  let certificates: Certificates | null = null;
  const server = await open(async (directory) => {
    certificates = createCertificates(directory);
    const definitions = join(directory, "definitions.json");
    await writeFile(definitions, JSON.stringify(definitionsOf(tenant)));
    return [
      `load_definitions = ${definitions}`,
      `listeners.ssl.1 = 127.0.0.1:${tls}`,
      `ssl_options.cacertfile = ${certificates.authority}`,
      `ssl_options.certfile = ${certificates.byName.certificate}`,
      `ssl_options.keyfile = ${certificates.byName.key}`,
      "ssl_options.verify = verify_peer",
      "ssl_options.fail_if_no_peer_cert = false",
    ];
  });
  if (certificates === null)
    throw new Error(
      "a RabbitMQ with TLS needs its server on the machine: the compose file has no such server",
    );
  return { ...server, secured: { certificates, tls: `localhost:${tls}` } };
}

function definitionsOf({ user, password, vhost }: Tenant) {
  const all = { configure: ".*", write: ".*", read: ".*" };
  const tenants: readonly Tenant[] = [
    { user: "guest", password: "guest", vhost: "/" },
    { user, password, vhost },
  ];
  return {
    users: tenants.map((one) => ({
      name: one.user,
      password_hash: hashOf(one.password),
      hashing_algorithm: "rabbit_password_hashing_sha256",
      tags: [],
    })),
    vhosts: tenants.map((one) => ({ name: one.vhost })),
    permissions: [
      ...tenants.map((one) => ({ user: one.user, vhost: one.vhost, ...all })),
      { user: "guest", vhost, ...all },
    ],
  };
}

/** In RabbitMQ's format: four bytes of salt, and the hash of them and the password. */
function hashOf(password: string): string {
  const salt = crypto.getRandomValues(Buffer.alloc(4));
  const hash = createHash("sha256").update(salt).update(password).digest();
  return Buffer.concat([salt, hash]).toString("base64");
}

async function open(settings: (directory: string) => Promise<readonly string[]>): Promise<RabbitmqServer> {
  const [nodesPort, epmdPort] = [await freePort(), await freePort()];
  let home = "";
  const server = await createServerOf({
    name: "rabbitmq",
    debianPackage: "rabbitmq-server",
    // Debian's script on the PATH changes the account. This script takes its whole setup from the environment.
    find: () => (findBinary("rabbitmq-server", ["/usr/lib/rabbitmq/bin"]) === SERVER ? "/usr/bin/env" : null),
    account: null,
    stopSignal: "SIGTERM",
    prepare: async ({ directory, port }) => {
      home = directory;
      const lines = [`listeners.tcp.1 = 127.0.0.1:${port}`, ...(await settings(directory))];
      await writeFile(join(directory, "rabbitmq.conf"), `${lines.join("\n")}\n`);
      await writeFile(join(directory, "plugins"), "[].");
    },
    args: ({ directory, port }) => [
      `HOME=${directory}`,
      `RABBITMQ_NODENAME=test${port}@localhost`,
      `RABBITMQ_MNESIA_BASE=${join(directory, "data")}`,
      `RABBITMQ_LOG_BASE=${join(directory, "log")}`,
      `RABBITMQ_CONFIG_FILE=${join(directory, "rabbitmq.conf")}`,
      `RABBITMQ_ENABLED_PLUGINS_FILE=${join(directory, "plugins")}`,
      "RABBITMQ_CONF_ENV_FILE=/dev/null",
      `ERL_CRASH_DUMP=${join(directory, "erl_crash.dump")}`, // otherwise it would be in the working directory
      `RABBITMQ_DIST_PORT=${nodesPort}`,
      `ERL_EPMD_PORT=${epmdPort}`,
      "ERL_EPMD_ADDRESS=127.0.0.1",
      "RUNNING_UNDER_SYSTEMD=1", // the script execs the server, so that a signal to it reaches the server
      SERVER,
    ],
    composeEnv: () => ({}),
  });
  return {
    ...server,
    url: `amqp://guest:guest@127.0.0.1:${server.port}`,
    control: async (args) => {
      if (home === "")
        throw new Error("Only a RabbitMQ on the machine can be controlled, not one of compose");
      const { PATH = "" } = process.env;
      const env = {
        ...{ PATH, HOME: home, RABBITMQ_CONF_ENV_FILE: "/dev/null", ERL_EPMD_PORT: String(epmdPort) },
        ERL_CRASH_DUMP: join(home, "erl_crash.dump"),
      };
      const control = Bun.spawn([CONTROL, "-n", `test${server.port}@localhost`, ...args], {
        ...{ env, stdout: "pipe", stderr: "pipe" },
      });
      const printed = await Promise.all(
        [control.stdout, control.stderr].map((stream) => new Response(stream).text()),
      );
      if ((await control.exited) !== 0) throw new Error(`rabbitmqctl ${args.join(" ")}: ${printed.join("")}`);
    },
    remove: async () => {
      await server.remove();
      spawnSync("epmd", ["-kill"], { env: { ...process.env, ERL_EPMD_PORT: String(epmdPort) } });
    },
  };
}
