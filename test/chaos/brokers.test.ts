/**
 * What goes by a broker, tasks in, events out and wake-ups, while the broker and the servers are broken. One file for both suites, so
 * that they share the two brokers.
 */
import { afterAll } from "bun:test";
import { killLeftovers } from "../support/server-process.ts";
import { removeBrokers } from "./brokers.ts";
import "./bells.suite.ts";
import "./flow.suite.ts";

afterAll(async () => {
  killLeftovers();
  await removeBrokers();
});
