import { eventually } from "./eventually.ts";
import { command } from "./redis.ts";
import type { RedisServer } from "./servers/redis.ts";

export const idOf = async (node: RedisServer): Promise<string> =>
  String(await command(node, "CLUSTER", "MYID"));

/** Creates a cluster of three empty nodes: the first has all slots, the third is its replica. */
export async function joinCluster(
  owner: RedisServer,
  other: RedisServer,
  replica: RedisServer,
): Promise<void> {
  await command(owner, "CLUSTER", "ADDSLOTSRANGE", "0", "16383");
  await command(other, "CLUSTER", "SET-CONFIG-EPOCH", "2");
  await command(replica, "CLUSTER", "SET-CONFIG-EPOCH", "3");
  for (const node of [other, replica]) {
    const bus = /@(\d+)/.exec(String(await command(node, "CLUSTER", "NODES")))?.[1] ?? "";
    await command(owner, "CLUSTER", "MEET", "127.0.0.1", String(node.port), bus);
  }
  for (const node of [owner, other, replica]) {
    await eventually(
      () => command(node, "CLUSTER", "INFO"),
      (info) => /cluster_state:ok[\s\S]*cluster_known_nodes:3/.test(String(info)),
    );
  }
  await command(replica, "CLUSTER", "REPLICATE", await idOf(owner));
  await eventually(
    () => command(replica, "INFO", "replication"),
    (info) => String(info).includes("master_link_status:up"),
  );
}
