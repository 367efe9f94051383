import type { Clock } from "../core/clock.ts";
import type { Log } from "../lib/log.ts";
import type { Broker } from "./broker.ts";

/**
 * Opens the broker of QUEUE_URL; null if the URL is empty. The client of the broker is loaded only here. The broker need not be
 * reachable yet. The files that the URL names must be readable: a TaskError names the one that is not.
 */
export async function openBroker(
  url: string,
  effects: { readonly clock: Clock; readonly log: Log },
): Promise<Broker | null> {
  if (url === "") return null;
  if (/^kafkas?:/.test(url)) return (await import("./kafka/broker.ts")).openKafkaBroker(url, effects);
  return (await import("./rabbitmq/broker.ts")).openRabbitmqBroker(url, effects);
}
