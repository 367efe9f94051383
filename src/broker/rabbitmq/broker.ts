import { Connection } from "rabbitmq-client";
import type { BrokerState } from "../../core/broker.ts";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import type { Flow } from "../broker.ts";
import { createRabbitmqOutlet } from "./event-output.ts";
import { rabbitmqOptions } from "./options.ts";
import { createRabbitmqInlet } from "./submissions.ts";
import { createRabbitmqWakeUps } from "./wake-ups.ts";

/** They come back by themselves, for as long as it takes; a server that is frozen is given up after two heartbeats. */
const LASTING = { acquireTimeout: 5_000, retryLow: 250, retryHigh: 5_000, heartbeat: 10 };

/**
 * Two connections: while the server is short of memory or disk it reads no more from a connection that publishes, not even what is
 * acknowledged on it.
 */
export function openRabbitmqFlow(
  url: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Flow {
  const { connection, names } = rabbitmqOptions(url);
  const options = { ...LASTING, ...connection };
  const publishing = new Connection({ ...options, connectionName: "tasktrack publishes" });
  const listening = new Connection({ ...options, connectionName: "tasktrack listens" });
  let isAway = false;
  let isBlocked = false;

  listening.on("error", () => undefined); // the other one tells
  publishing.on("error", (error) => {
    if (!isAway) log.warn("broker_away", { error: errorText(error) });
    isAway = true;
    isBlocked = false;
  });
  publishing.on("connection", () => {
    if (isAway) log.info("broker_back");
    isAway = false;
  });
  publishing.on("connection.blocked", (reason) => {
    if (!isBlocked) log.warn("broker_takes_nothing", { reason });
    isBlocked = true;
  });
  publishing.on("connection.unblocked", () => {
    if (isBlocked) log.info("broker_takes_again");
    isBlocked = false;
  });

  const outlet = createRabbitmqOutlet(publishing, names);
  const bells = createRabbitmqWakeUps({ publishing, listening, name: names.bells, clock, log });
  const inlet = createRabbitmqInlet({ publishing, listening, names, clock, log });

  function state(): BrokerState {
    if (isBlocked) return "blocked";
    if (!publishing.ready || !listening.ready) return "away";
    return inlet.isInterrupted() ? "no_submissions" : "up";
  }

  return {
    inlet,
    outlet,
    bells,
    broker: "RabbitMQ",
    state: async () => state(),
    close: async () => {
      await Promise.allSettled([bells.close(), outlet.close()]); // what cannot be closed goes with its connection
      await Promise.all([publishing.close(), listening.close()]);
    },
  };
}
