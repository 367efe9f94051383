/**
 * The SDK's front door: a client of the server, and workers for it. It needs nothing but what the web's standards bring, so it
 * runs on Node.js 20 and later, Bun and Deno.
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
 * A client of the server at this address. It holds no connection and needs no closing.
 * @param url the server's address, such as "http://localhost:8080"; throws TypeError for what is none
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
