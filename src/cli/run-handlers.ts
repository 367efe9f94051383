/** The process that runs a module of handlers for a server or a worker. */
import { resolve } from "node:path";
import * as client from "../client/client.ts";
import { createHandlersChild } from "../handlers/child.ts";
import { listenToGroups } from "../handlers/groups.ts";
import * as handlers from "../handlers/handlers.ts";
import { createHttp, httpWorld } from "../handlers/http.ts";
import { holdLifeline } from "../handlers/lifeline-thread.ts";
import { readHandlers } from "../handlers/module.ts";
import { type Allowance, parseAllowance } from "../lib/addresses.ts";
import { systemClock } from "../lib/system-clock.ts";
import { textOf } from "../lib/text.ts";
import type { FromHandlers, ToHandlers } from "../processor/handler-processes/messages.ts";
import { FAILED } from "./exit-codes.ts";

/** The process ends after this time even if the last message could not be sent. */
const LAST_MESSAGE_WITHIN_MS = 500;

/**
 * @param argv the module, and the private addresses that its `http()` may call. Does not resolve: the process
 * works until it is killed.
 */
export async function runHandlers([path = "", allowed = ""]: readonly string[]): Promise<number> {
  holdLifeline();
  provideModules(parseAllowance(allowed) ?? false);
  const send = (message: FromHandlers): void => void process.send?.(message);
  listenToGroups({
    opened: (pid) => send({ kind: "group", pid, isOpen: true }),
    closed: (pid) => send({ kind: "group", pid, isOpen: false }),
  });
  const onUncaught = (error: unknown): void => {
    process.stderr.write(`${shown(error)}\n`);
    endWith({ kind: "uncaught_error", message: textOf(error) });
  };
  process.on("uncaughtException", onUncaught);
  process.on("unhandledRejection", onUncaught);

  const child = createHandlersChild({ send, clock: systemClock });
  child.start();
  try {
    const module: { readonly default?: unknown } = await import(resolve(path));
    const loaded = readHandlers(module.default);
    process.on("message", (message) => child.take(message as ToHandlers)); // from the server that has started it
    child.ready(loaded);
  } catch (error) {
    endWith({ kind: "load_failed", message: shown(error) });
  }
  return new Promise(() => undefined);
}

/**
 * The modules that a module of handlers may import by name, wherever it is: parts of this program, in the
 * single-file executable too.
 */
function provideModules(allowPrivate: Allowance): void {
  const http = createHttp({ ...httpWorld, allowPrivate });
  Bun.plugin({
    name: "tasktrack",
    setup: (build) => {
      build.module("tasktrack", () => ({ exports: { ...client }, loader: "object" }));
      build.module("tasktrack/handlers", () => ({ exports: { ...handlers, http }, loader: "object" }));
    },
  });
}

function endWith(message: FromHandlers): void {
  const end = (): void => process.exit(FAILED);
  process.send?.(message, undefined, undefined, end);
  systemClock.after(LAST_MESSAGE_WITHIN_MS, end);
}

/** An error with its stack. */
const shown = (error: unknown): string => Bun.inspect(error, { colors: false }).trim();
