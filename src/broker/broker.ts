import type { BrokerState } from "../core/broker.ts";
import type { BrokerWakeUps } from "../wakeup/wake-ups.ts";
import type { EventOutput } from "./event-output.ts";
import type { Submissions } from "./submissions.ts";

/** A broker delivers submissions, publishes events, and wakes the processes that share a store. */
export interface Broker {
  readonly submissions: Submissions;
  readonly eventOutput: EventOutput;
  readonly wakeUps: BrokerWakeUps;
  /** The name that operators know, such as RabbitMQ. */
  readonly name: string;
  /** The present state. Never rejects, but takes as long as the broker does. */
  state(): Promise<BrokerState>;
  /** Closes the connections. The submissions must be closed before. May be called twice. */
  close(): Promise<void>;
}
