import { Connection } from "rabbitmq-client";
import type { BrokerState } from "../../core/broker.ts";
import type { Clock } from "../../core/clock.ts";
import { errorText, type Log } from "../../lib/log.ts";
import type { Broker } from "../broker.ts";
import { createRabbitmqEventOutput } from "./event-output.ts";
import { rabbitmqOptions } from "./options.ts";
import { createRabbitmqSubmissions } from "./submissions.ts";
import { createRabbitmqWakeUps } from "./wake-ups.ts";

/**
 * A broken connection is opened again, without a limit of attempts. A connection to a frozen server is closed after two missed
 * heartbeats.
 */
const RECONNECTION = { acquireTimeout: 5_000, retryLow: 250, retryHigh: 5_000, heartbeat: 10 };

/**
 * Opens two connections: while the server is short of memory or disk it reads nothing from a connection that publishes, not even
 * acknowledgements.
 */
export function openRabbitmqBroker(
  url: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Broker {
  const { connection, names } = rabbitmqOptions(url);
  const options = { ...RECONNECTION, ...connection };
  const publishing = new Connection({ ...options, connectionName: "tasktrack publishes" });
  const listening = new Connection({ ...options, connectionName: "tasktrack listens" });
  let isAway = false;
  let isBlocked = false;

  listening.on("error", () => undefined); // the publishing connection's errors are logged
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

  const eventOutput = createRabbitmqEventOutput(publishing, names);
  const wakeUps = createRabbitmqWakeUps({ publishing, listening, name: names.wakeUps, clock, log });
  const submissions = createRabbitmqSubmissions({ publishing, listening, names, clock, log });

  function state(): BrokerState {
    if (isBlocked) return "blocked";
    if (!publishing.ready || !listening.ready) return "away";
    return submissions.isInterrupted() ? "no_submissions" : "up";
  }

  return {
    submissions,
    eventOutput,
    wakeUps,
    name: "RabbitMQ",
    state: async () => state(),
    close: async () => {
      await Promise.allSettled([wakeUps.close(), eventOutput.close()]); // if a close fails, the end of the connection ends it
      await Promise.all([publishing.close(), listening.close()]);
    },
  };
}
