import type { Clock } from "../core/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Flow } from "./broker.ts";

/**
 * The broker that QUEUE_URL names, loaded only where it is named; null where none is. It need not be there yet, but the files
 * that the URL names must: a TaskError says which cannot be used.
 */
export async function openFlow(
  url: string,
  effects: { readonly clock: Clock; readonly log: Log },
): Promise<Flow | null> {
  if (url === "") return null;
  if (/^kafkas?:/.test(url)) return (await import("./kafka/broker.ts")).openKafkaFlow(url, effects);
  return (await import("./rabbitmq/broker.ts")).openRabbitmqFlow(url, effects);
}
