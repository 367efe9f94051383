import type { BrokerState } from "../core/broker.ts";
import type { Clock } from "../core/clock.ts";
import type { Log } from "../lib/log.ts";
import type { TaskStore } from "../store/store.ts";
import type { BrokerBells } from "./broker.ts";
import type { TaskInlet } from "./inlet.ts";
import type { EventOutlet } from "./outlet.ts";
import type { TaskQueue } from "./queue.ts";
import { createStoreQueue } from "./store.ts";

/** The store rings by itself. */
export const openQueue = (store: Pick<TaskStore, "watch">): TaskQueue => createStoreQueue(store);

/** What a broker does: it brings tasks in, carries events out, and wakes the processes that share a store. */
export interface Flow {
  readonly inlet: TaskInlet;
  readonly outlet: EventOutlet;
  readonly bells: BrokerBells;
  /** For people, such as RabbitMQ. */
  readonly broker: string;
  /** How the broker stands at this moment; never rejects, but takes as long as the broker does. */
  state(): Promise<BrokerState>;
  /** Ends the connection, after the inlet was closed; safe twice. */
  close(): Promise<void>;
}

/**
 * The broker that QUEUE_URL names, loaded only where it is named; null where none is. It need not be there yet, but the files
 * that the URL names must: a TaskError says which cannot be used.
 */
export async function openFlow(
  url: string,
  effects: { readonly clock: Clock; readonly log: Log },
): Promise<Flow | null> {
  if (url === "") return null;
  if (/^kafkas?:/.test(url)) return (await import("./kafka-flow.ts")).openKafkaFlow(url, effects);
  return (await import("./rabbitmq-flow.ts")).openRabbitmqFlow(url, effects);
}
