import type { BrokerState } from "../core/broker.ts";
import type { BrokerWakeUps } from "../wakeup/wake-ups.ts";
import type { EventOutlet } from "./event-output.ts";
import type { TaskInlet } from "./submissions.ts";

/** What a broker does: it brings tasks in, carries events out, and wakes the processes that share a store. */
export interface Flow {
  readonly inlet: TaskInlet;
  readonly outlet: EventOutlet;
  readonly bells: BrokerWakeUps;
  /** For people, such as RabbitMQ. */
  readonly broker: string;
  /** How the broker stands at this moment; never rejects, but takes as long as the broker does. */
  state(): Promise<BrokerState>;
  /** Ends the connection, after the inlet was closed; safe twice. */
  close(): Promise<void>;
}
