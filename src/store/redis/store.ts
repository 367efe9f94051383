/**
 * Tasks in Redis 7 or later, or Valkey. Every step is one Lua script (lua/) and therefore atomic: the server runs one script at a
 * time, none longer than 20 ms. lua/prelude.lua lists the keys.
 */
import type { RedisClient } from "bun";
import { TaskError } from "../../core/error.ts";
import type { Parts, TaskHead, TaskId, TaskParts } from "../../core/task.ts";
import { within } from "../../lib/waiting.ts";
import { isCounted } from "../filter.ts";
import { type Migration, type MigrationPlan, planMigrations } from "../migrations.ts";
import type { StoreSetup } from "../setup.ts";
import type { TaskPage, TaskQuery, TaskStore } from "../store.ts";
import { sumTypeCounts } from "../type-counts.ts";
import { type Address, parseAddress } from "./address.ts";
import { createChanges } from "./changes.ts";
import { createClaims } from "./claims.ts";
import { createConnection, refusalOf, runScript } from "./connection.ts";
import { createDocuments } from "./documents.ts";
import { checkFitness, checkProduct, durabilityOf, idsToSkip, readProfile, readSlots } from "./fitness.ts";
import { createClient, createLink, HOPS_AT_MOST, inTime, unavailable } from "./link.ts";
import { createLog } from "./log.ts";
import { createNodes, type Nodes, nodesIn } from "./nodes.ts";
import { createReads } from "./reads.ts";
import { createRestore } from "./restore.ts";
import { lanePrefixOf } from "./row.ts";
import { SCRIPT_BOUNDS, SCRIPTS } from "./scripts.ts";
import { createTypeCounts } from "./type-counts.ts";
import { createWatchers } from "./watchers.ts";
import { createWrites } from "./writes.ts";

/** `noteAllLanes` carries out migration 2. The number prevents an older program from opening data of a newer one. */
const MIGRATIONS: readonly Migration[] = [
  { number: 1, name: "tasks, lanes, log lines, changes", text: "" },
  { number: 2, name: "the first task of each lane", text: "" },
];
const SCHEMA = MIGRATIONS.length;
/** Calls that are under way when the store is closed get this long. */
const CLOSE_WITHIN_MS = 1_000;

/** The highest number of first tasks that a look reads of each priority. */
const FIRSTS_LOOKED_AT = 100;

/** Lanes that one script brings up to date when a store is opened: 2 ms. */
const NOTED_AT_ONCE = 500;

/** Connects and checks the server and its schema; rejects with one line for the operator. */
export async function openRedisStore(setup: StoreSetup, bounds = SCRIPT_BOUNDS): Promise<TaskStore> {
  const { clock, log, random, nonce } = setup;
  const address = parseAddress(setup.url);
  const nodes = createNodes(address.url);
  const channel = `${address.prefix}rings`;
  const profile = await withServer(setup, address, nodes, async (client) => {
    const { found, schema } = await readServer(client, address);
    checkFitness(found, setup.allowVolatileRedis, log);
    planMigrations(schema, MIGRATIONS);
    await checkChannel(client, channel);
    return found;
  });

  const sender = nonce();
  const watchers = createWatchers({ nodes, channel, sender, clock, random, log });
  let failure = "";
  let reasonLeft = "";
  const link = createLink({
    ...{ nodes, clock, random },
    prepare,
    onUp: () => {
      if (failure !== "") log.info("store_back", { message: `Redis at ${address.host} answers again` });
      failure = "";
      reasonLeft = "";
      watchers.notify(null); // other processes may have written meanwhile
    },
    onDown: (reason) => {
      const lost = `The connection to Redis at ${address.host} was lost`;
      const left = `Redis at ${address.host} ${reason}; connecting again`;
      log.warn("store_lost", { message: reason === undefined ? lost : left });
      reasonLeft = reason === undefined ? "" : `it ${reason}`;
      if (reason !== undefined) watchers.leave(); // so that watchers subscribe at the server that takes the writes
    },
    onFailure: (error) => {
      const { message } = refusalOf(error);
      if (message !== failure) log.warn("store_away", { error: message }); // a repeated failure is logged once
      failure = message;
    },
  });

  let isFirst = true;

  /** The first script on each connection. The server may be another one than before, with other settings. */
  async function prepare(client: RedisClient): Promise<void> {
    const found = await readProfile(client);
    const skip = idsToSkip(found);
    const schema = await begin(client, address, { epoch: nonce(), skip });
    if (isFirst || schema < SCHEMA) await noteAllLanes(client, address);
    isFirst = false;
    if (found.mode === "cluster") nodes.setKnown(nodesIn(await readSlots(client), nodes.host()));
  }

  await link.open().catch((error: unknown) => {
    throw openingError(error, address);
  });
  const connection = createConnection({
    ...{ link, clock, nodes, prefix: address.prefix },
    whyAway: () => (failure === "" ? reasonLeft : failure),
  });

  const writing = { connection, sender, notify: watchers.committed };
  const { insert, replace, remove } = createWrites(writing);
  const { claim, extend } = createClaims(writing, bounds);
  const restore = createRestore(writing);
  const { get, list, count } = createReads(connection);
  const readLog = createLog(connection);
  const { typeCounts, positionOf } = createTypeCounts(connection, bounds);
  const { writeDocuments, readDocuments } = createDocuments(connection);

  let closing: Promise<void> | null = null;

  async function close(): Promise<void> {
    await watchers.close();
    await within(clock, CLOSE_WITHIN_MS, connection.idle(), undefined);
    link.close();
  }

  return {
    durability: durabilityOf(profile),
    count: async (filter) => (isCounted(filter) ? sumTypeCounts(await typeCounts(), filter) : count(filter)),
    ...{ typeCounts, positionOf, writeDocuments, readDocuments },
    ...{ insert, claim, extend, replace, remove, restore, readLog },
    // The tasks have the parts that the call names.
    get: async <P extends Parts>(ids: readonly TaskId[], parts?: P) =>
      (await get(ids, parts ?? "whole")) as (TaskParts[P] | null)[],
    list: async <P extends Parts>(query: TaskQuery<P>) =>
      (await list(query)) as TaskPage<TaskHead & TaskParts[P]>,
    changes: createChanges(connection, async () => {
      await connection.run(SCRIPTS.begin, beginArgs({ epoch: nonce(), skip: 0 }));
    }),
    watch: watchers.watch,
    now: async () => timeOf(await connection.run(SCRIPTS.now, [])),
    look: async ({ types, leases, documents }) => {
      const args = [leases ? "1" : "0", documents, String(FIRSTS_LOOKED_AT), ...types.map(lanePrefixOf)];
      const answer = await connection.run(SCRIPTS.look, args);
      const [isDue, isExpired, hasDocuments] = (answer as unknown[])
        .slice(2)
        .map((count) => Number(count) > 0); // as look.lua says
      return {
        now: timeOf(answer),
        isDue: isDue === true,
        isExpired: !leases || isExpired === true,
        hasDocuments: hasDocuments === true,
      };
    },
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** The migrations that `open` would carry out; with `apply` they are carried out. */
export async function migrateRedis(setup: StoreSetup, apply: boolean): Promise<MigrationPlan> {
  const address = parseAddress(setup.url);
  return withServer(setup, address, createNodes(address.url), async (client) => {
    const { found, schema } = await readServer(client, address);
    const plan = planMigrations(schema, MIGRATIONS);
    if (apply) {
      await begin(client, address, { epoch: setup.nonce(), skip: idsToSkip(found) });
      await noteAllLanes(client, address);
    }
    return plan;
  });
}

/** Calls `ask` with a connection of its own to the server that has the store's slot. */
async function withServer<T>(
  { clock }: StoreSetup,
  address: Address,
  nodes: Nodes,
  ask: (client: RedisClient) => Promise<T>,
): Promise<T> {
  for (let hops = 1; ; hops++) {
    const client = createClient(nodes.url());
    try {
      return await inTime(
        clock,
        client.connect().then(() => ask(client)),
      );
    } catch (error) {
      if (hops > HOPS_AT_MOST || !nodes.follow(error)) throw openingError(error, address);
    } finally {
      client.close();
    }
  }
}

/**
 * Reads the server's profile and the schema's number. A node of a cluster without the store's slot refuses the second read, before
 * the profile is checked.
 */
async function readServer(client: RedisClient, address: Address) {
  const found = await readProfile(client);
  checkProduct(found);
  return { found, schema: await schemaOf(client, address) };
}

/** A user without the right to the channel could create tasks, and other processes would not be notified. */
async function checkChannel(client: RedisClient, channel: string): Promise<void> {
  try {
    await client.send("PUBLISH", [channel, ""]);
    await client.subscribe(channel, () => undefined);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("NOPERM")) throw error;
    throw new TaskError(
      "invalid",
      `STORE_URL: the user of Redis may not publish and subscribe to the channel ${channel}: ACL SETUSER … &${channel} +publish +subscribe (${error.message})`,
    );
  }
}

async function schemaOf(client: RedisClient, { prefix }: Address): Promise<number> {
  return Number((await client.hget(`${prefix}house`, "schema")) ?? 0);
}

type Beginning = { readonly epoch: string; readonly skip: number };

const beginArgs = ({ epoch, skip }: Beginning): string[] => [epoch, String(skip), String(SCHEMA)];

/** See begin.lua. It is one script, so no lock is needed. */
async function begin(client: RedisClient, { prefix }: Address, beginning: Beginning): Promise<number> {
  const answer = await runScript(client, SCRIPTS.begin, [prefix, ...beginArgs(beginning)]);
  const [schema] = answer as [number, string]; // as begin.lua says
  planMigrations(schema, MIGRATIONS);
  return schema;
}

/**
 * Brings the first task of each lane up to date, in short scripts. At each start, not only for a store of schema 1: a process of
 * version 0.1.0 that is still connected writes without it, and the last start of an upgrade comes after that process has ended.
 */
async function noteAllLanes(client: RedisClient, { prefix }: Address): Promise<void> {
  for (const kind of ["lanes", "firsts"]) {
    let cursor = "0";
    do {
      cursor = String(
        await runScript(client, SCRIPTS.noteLanes, [prefix, kind, cursor, String(NOTED_AT_ONCE)]),
      );
    } while (cursor !== "0");
  }
}

/** Refusals that end without an action of the operator. */
const PASSES = /^Redis refuses: (LOADING|BUSY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN)\b/;

/** The client gives no reason why it could not connect. */
function openingError(error: unknown, { host }: Address): TaskError {
  const refusal = refusalOf(error);
  const { code, message } = refusal;
  if (code === "store_rejected" && !PASSES.test(message)) {
    return new TaskError("invalid", `STORE_URL: the server at ${host} cannot be used. ${message}`);
  }
  if (code === "invalid") return refusal;
  return unavailable(
    `STORE_URL: no Redis answers at ${host}, or it does not accept the user, password or database (${message})`,
  );
}

function timeOf(answer: unknown): number {
  const [seconds, micros] = answer as [string, string]; // as TIME answers
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}
