import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createServerOf, findBinary, freePort, type TestServer } from "./runner.ts";

export interface RabbitmqServer extends TestServer {
  readonly url: string;
}

const SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/** A RabbitMQ of its own: node, cookie, data and even the daemon by which Erlang's nodes find each other. */
export async function createRabbitmq(): Promise<RabbitmqServer> {
  const [nodesPort, epmdPort] = [await freePort(), await freePort()];
  const server = await createServerOf({
    name: "rabbitmq",
    debianPackage: "rabbitmq-server",
    // Debian's script on the PATH changes the account; the one below it takes its whole setup from the environment.
    find: () => (findBinary("rabbitmq-server", ["/usr/lib/rabbitmq/bin"]) === SERVER ? "/usr/bin/env" : null),
    account: null,
    stopSignal: "SIGTERM",
    prepare: async ({ directory, port }) => {
      await writeFile(join(directory, "rabbitmq.conf"), `listeners.tcp.1 = 127.0.0.1:${port}\n`);
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
      `RABBITMQ_DIST_PORT=${nodesPort}`,
      `ERL_EPMD_PORT=${epmdPort}`,
      "ERL_EPMD_ADDRESS=127.0.0.1",
      "RUNNING_UNDER_SYSTEMD=1", // the script becomes the server, so that a signal to it is one to the server
      SERVER,
    ],
    composeEnv: () => ({}),
  });
  return {
    ...server,
    url: `amqp://guest:guest@127.0.0.1:${server.port}`,
    remove: async () => {
      await server.remove();
      spawnSync("epmd", ["-kill"], { env: { ...process.env, ERL_EPMD_PORT: String(epmdPort) } });
    },
  };
}
