/**
 * Submissions, events and wake-ups by a broker, while the broker and the servers fail. One file has both suites, so that they share
 * the two brokers.
 */
import { afterAll } from "bun:test";
import { killLeftovers } from "../support/server-process.ts";
import { removeBrokers } from "./brokers.ts";
import "./wake-ups.suite.ts";
import "./messages.suite.ts";

afterAll(async () => {
  killLeftovers();
  await removeBrokers();
});
