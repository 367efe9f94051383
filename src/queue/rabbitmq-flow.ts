import { Connection } from "rabbitmq-client";
import { errorText, type Log } from "../lib/log.ts";
import { rabbitmqOptions } from "./broker-options.ts";
import type { Flow } from "./open.ts";
import { createRabbitmqInlet } from "./rabbitmq-inlet.ts";
import { createRabbitmqOutlet } from "./rabbitmq-outlet.ts";

const RETRY = { retryLow: 250, retryHigh: 5_000 };

/** Tasks in and events out share a connection that comes back by itself, for as long as it takes. */
export function openRabbitmqFlow(url: string, log: Log): Flow {
  const connection = new Connection({
    ...rabbitmqOptions(url),
    connectionName: "tasktrack",
    acquireTimeout: 5_000,
    ...RETRY,
  });
  let isAway = false;

  connection.on("error", (error) => {
    if (!isAway) log.warn("broker_away", { error: errorText(error) });
    isAway = true;
  });
  connection.on("connection", () => {
    if (isAway) log.info("broker_back");
    isAway = false;
  });

  const outlet = createRabbitmqOutlet(connection);
  return {
    inlet: createRabbitmqInlet({ connection, log }),
    outlet,
    close: async () => {
      await outlet.close();
      await connection.close();
    },
  };
}
