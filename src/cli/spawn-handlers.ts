/** Starts the processes that run a module of handlers, and ends them. */
import { closeSync } from "node:fs";
import { signalGroup } from "../handlers/groups.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { FromHandlers } from "../processor/handler-processes/messages.ts";
import type { SpawnedProcess, SpawnHandlers } from "../processor/handler-processes/process.ts";
import { FAILED } from "./exit-codes.ts";
import { RUN_HANDLERS, SELF } from "./processes.ts";

/**
 * Each process is the leader of its own session: a Ctrl-C at the terminal reaches the server alone, and one signal reaches all
 * processes that the process has started. Standard output of handlers goes to the server's standard error, because the server's
 * standard output is its log. Nothing is written to the fourth channel: when it ends, the process knows that the server has ended.
 * @param setup.allowPrivate the addresses that are not public and that `http()` may call, in the form of the setting
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
      return NOT_STARTED;
    }
  };

/** The addresses of store and broker may contain passwords. Handlers and the programs that they start do not get them. */
const SECRETS = { STORE_URL: undefined, QUEUE_URL: undefined };

const NOT_STARTED: SpawnedProcess = { pid: 0, send: () => undefined, kill: () => undefined };

function closeLifeline(end: unknown): void {
  if (typeof end === "number") closeSync(end);
}
