/** Whether a server can keep tasks, and which answered writes a crash may lose. */
import type { RedisClient } from "bun";
import { TaskError } from "../../core/error.ts";
import type { Log } from "../../lib/log.ts";

const OLDEST_VERSION = 7;

/** Facts about the server; null if the server does not report it (managed servers forbid CONFIG). */
export type Profile = {
  /** Redis, or a compatible product. */
  readonly product: string;
  readonly version: string;
  readonly mode: "standalone" | "sentinel" | "cluster";
  readonly isReplica: boolean;
  readonly eviction: string | null;
  readonly appends: boolean | null;
  readonly fsync: string | null;
  readonly savesSnapshots: boolean | null;
};

export async function readProfile(client: RedisClient): Promise<Profile> {
  const info = fieldsOf(await ifAllowed(client.send("INFO", []), ""));
  const config = await readConfig(client);
  const appends = config.appendonly ?? { 0: "no", 1: "yes" }[info.aof_enabled ?? ""] ?? null;
  return {
    ...productOf(info),
    mode: info.redis_mode === "sentinel" || info.redis_mode === "cluster" ? info.redis_mode : "standalone",
    isReplica: info.role === "slave" || info.role === "replica",
    eviction: config["maxmemory-policy"] ?? info.maxmemory_policy ?? null,
    appends: appends === null ? null : appends === "yes",
    fsync: config.appendfsync ?? null,
    savesSnapshots: config.save === undefined ? null : config.save !== "",
  };
}

/** Compatible servers have their own name and version in other fields; their `redis_version` is the version of Redis that they resemble. */
export function productOf(info: Partial<Record<string, string>>): Pick<Profile, "product" | "version"> {
  const version = info.redis_version ?? "unknown";
  if (info.valkey_version !== undefined) return { product: "Valkey", version: info.valkey_version };
  if (/keydb/i.test(info.executable ?? "") || info.mvcc_depth !== undefined)
    return { product: "KeyDB", version };
  return { product: "Redis", version };
}

/** False also if the server does not report it. */
export async function isReplica(client: RedisClient): Promise<boolean> {
  const [role] = (await ifAllowed(client.send("ROLE", []), ["unknown"])) as [string]; // as ROLE answers
  return role === "slave" || role === "replica";
}

/** The lines `name:value` of INFO. */
function fieldsOf(info: unknown): Partial<Record<string, string>> {
  const lines = String(info).split("\r\n");
  return Object.fromEntries(lines.map((line) => line.split(":", 2)).filter((parts) => parts.length === 2));
}

/** The nodes of a cluster, as CLUSTER SLOTS answers; none if the server does not report them. */
export const readSlots = (client: RedisClient): Promise<unknown> =>
  ifAllowed<unknown>(client.send("CLUSTER", ["SLOTS"]), []);

async function readConfig(client: RedisClient): Promise<Partial<Record<string, string>>> {
  const names = ["maxmemory-policy", "appendonly", "appendfsync", "save"];
  return (await ifAllowed(client.send("CONFIG", ["GET", ...names]), {})) as Record<string, string>; // a map of texts
}

/** The server's answer, or the fallback if it forbids the command. */
async function ifAllowed<T>(answer: Promise<T>, fallback: T): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof Error && /^(NOPERM|ERR|DENIED)\b/.test(error.message)) return fallback;
    throw error;
  }
}

/** Refuses a server that would lose tasks; with `allowVolatile` only a server that cannot work at all. */
export function checkFitness(profile: Profile, allowVolatile: boolean, log: Log): void {
  checkProduct(profile);
  if (profile.isReplica) throw unfit("this Redis is a replica and takes no writes; name its primary");
  const reason = volatilityOf(profile);
  if (reason !== null && !allowVolatile) {
    throw unfit(`${reason}; change that, or start with ALLOW_VOLATILE_REDIS=1 if tasks may be lost`);
  }
  if (reason !== null) log.warn("volatile_redis", { message: `Tasks may be lost: ${reason}` });
  else if (profile.eviction === null || persistenceOf(profile) === null) {
    log.warn("unknown_redis", {
      message:
        "This Redis does not report whether it evicts keys and whether it persists them; tasks are lost if it evicts them or does not persist them",
    });
  }
}

/** Refuses a server that cannot work at all. A Sentinel knows none of the commands that a store sends first. */
export function checkProduct({ product, version, mode }: Profile): void {
  if (mode === "sentinel") {
    throw unfit("this is a Sentinel, which keeps no data; name the address of the primary that it watches");
  }
  if (product === "KeyDB" || Number.parseInt(version, 10) < OLDEST_VERSION) {
    throw unfit(`this is ${product} ${version}; it takes Redis ${OLDEST_VERSION} or later, or Valkey`);
  }
}

/** A policy that evicts keys is refused for any memory limit: when the limit is reached, tasks are lost without an error. */
function volatilityOf(profile: Profile): string | null {
  if (profile.eviction !== null && profile.eviction !== "noeviction") {
    return `this Redis evicts keys when its memory is full (maxmemory-policy ${profile.eviction}, not noeviction)`;
  }
  if (persistenceOf(profile) === "none")
    return "this Redis persists nothing (appendonly no, and no save points)";
  return null;
}

type Persistence = "always" | "everysec" | "no" | "snapshots" | "none";

function persistenceOf({ appends, fsync, savesSnapshots }: Profile): Persistence | null {
  if (appends === true) return fsync === "always" || fsync === "no" ? fsync : "everysec";
  if (savesSnapshots === true) return "snapshots";
  return appends === false && savesSnapshots === false ? "none" : null;
}

const DURABILITIES: Record<Persistence, string> = {
  always: "every answered write is on the disk (appendfsync always)",
  everysec: "if its machine crashes, up to two seconds of answered writes may be lost (appendfsync everysec)",
  no: "if its machine crashes, some tens of seconds of answered writes may be lost (appendfsync no)",
  snapshots: "a crash loses the answered writes since the last snapshot (appendonly no)",
  none: "a restart loses everything (appendonly no, no snapshots)",
};

export function durabilityOf(profile: Profile): string {
  const persistence = persistenceOf(profile);
  return `${profile.product} ${profile.version}: ${persistence === null ? "it does not report what a crash loses" : DURABILITIES[persistence]}`;
}

/**
 * The number of ids to skip when another server, or another run of it, has the data: more than can have been assigned in the writes
 * that it may lack. Those are the writes that a crash loses (some minutes without an append-only file), or that a promoted replica had
 * not received: even a durable primary does not wait for its replicas.
 */
export function idsToSkip(profile: Profile): number {
  const persistence = persistenceOf(profile);
  return persistence === "always" || persistence === "everysec" ? 100_000 : 10_000_000;
}

const unfit = (message: string): TaskError => new TaskError("invalid", `STORE_URL: ${message}`);
