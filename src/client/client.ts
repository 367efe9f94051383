/**
 * The entry of the SDK: a client of the server, and workers. It uses web standards only, so it runs on
 * Node.js 20 and later, Bun and Deno.
 */
import { systemChance } from "../lib/system-chance.ts";
import { systemClock } from "../lib/system-clock.ts";
import { type ClientOptions, createApi } from "./api.ts";
import { createChanges } from "./changes.ts";
import type { Client } from "./methods.ts";
import { createReads } from "./reads.ts";
import { createWaits } from "./waits.ts";
import { watchEvents } from "./watch.ts";

export {
  fail,
  type Handler,
  type HandlerContext,
  type HandlerTask,
  snooze,
  type Verdict,
} from "../processor/handler.ts";
export type { ClientOptions, Fetch } from "./api.ts";
export { type FieldFault, TaskFailed, TaskTrackError } from "./error.ts";
export type {
  Cancellable,
  Client,
  Created,
  CreateOptions,
  IfVersion,
  WaitOptions,
} from "./methods.ts";
export type * from "./types.ts";
export type { WatchEvent, WatchQuery } from "./watch.ts";
export { createWorker, type Worker, type WorkerOptions } from "./worker.ts";

/**
 * Creates a client of the server at this address. It keeps no connection open and need not be closed.
 * @param url the address of the server, such as "http://localhost:8080"; throws TypeError if it is not one
 * @example const client = createClient("http://localhost:8080");
 */
export function createClient(url: string, options: ClientOptions = {}): Client {
  const clock = systemClock;
  const api = createApi({ url, options, clock, random: systemChance.random });
  const reads = createReads(api);
  const changes = createChanges(api, reads);
  return {
    ...reads,
    ...changes,
    ...createWaits({ api, clock, create: changes.create }),
    watch: (query = {}) => watchEvents({ api, clock }, query),
  };
}
