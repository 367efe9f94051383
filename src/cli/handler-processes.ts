/** How handlers come into processes of their own, and how those are ended. */
import { closeSync } from "node:fs";
import { signalGroup } from "../handlers/groups.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { HandlerProcess, SpawnHandlers } from "../processor/pool.ts";
import type { FromHandlers } from "../processor/pool-messages.ts";
import { FAILED } from "./command.ts";
import { RUN_HANDLERS, SELF } from "./processes.ts";

/**
 * Each process leads a session of its own: a Ctrl-C at the terminal is the server's alone, and one signal reaches all that the
 * process has started. What handlers print goes to the server's standard error; its standard output is its log. The fourth
 * channel is never written to: its end tells the process that this one has died.
 * @param setup.allowPrivate which addresses that are not public `http()` may call, as the setting says it
 */
export const spawnHandlers =
  (setup: { readonly module: string; readonly allowPrivate: string; readonly log: Log }): SpawnHandlers =>
  (on) => {
    try {
      const child = Bun.spawn([...SELF, RUN_HANDLERS, setup.module, setup.allowPrivate], {
        detached: true,
        env: { ...process.env, ...SECRETS },
        stdio: ["ignore", 2, 2, "pipe"],
        serialization: "json",
        ipc: (message) => on.message(message as FromHandlers), // run-handlers.ts has sent it
        onExit: ({ stdio }, code, signal) => {
          closeLifeline(stdio[3]);
          on.ended({ code, signal: signal === null ? null : String(signal) });
        },
      });
      return {
        pid: child.pid,
        send: (message) => {
          if (child.exitCode === null && child.signalCode === null) child.send(message);
        },
        kill: (groups) => {
          for (const pid of [child.pid, ...groups]) signalGroup(pid, "SIGKILL");
        },
      };
    } catch (error) {
      setup.log.error("handlers_not_started", { error: errorText(error) });
      queueMicrotask(() => on.ended({ code: FAILED, signal: null }));
      return NOBODY;
    }
  };

/** Where the tasks are, with a password perhaps, is nothing that handlers, and the programs that they start, need to know. */
const SECRETS = { STORE_URL: undefined, QUEUE_URL: undefined };

const NOBODY: HandlerProcess = { pid: 0, send: () => undefined, kill: () => undefined };

function closeLifeline(end: unknown): void {
  if (typeof end === "number") closeSync(end);
}
