/** Starts the processes of a server that share a port. */
import type { Config } from "../config.ts";
import { errorText, type Log } from "../lib/log.ts";
import type { Spawn } from "./supervisor.ts";

const FAILED = 1;

/** The internal command of each process of a server with several processes. */
export const ONE_OF_SEVERAL = "serve-one-of-several";

/**
 * The port that the processes will share; throws if it is not free. The processes could share it with another
 * server without an error, so it is opened once without sharing.
 */
export function freePort({ httpHost, httpPort }: Config): number {
  const probe = Bun.listen({
    hostname: httpHost,
    port: httpPort,
    socket: { data: () => undefined },
  });
  const { port } = probe;
  probe.stop(true);
  return port;
}

/** The internal command of a process that runs a module of handlers. */
export const RUN_HANDLERS = "run-handlers";

const LISTENING = "listening";

/** Tells the parent process, if there is one. */
export const sayListening = (): void => void process.send?.(LISTENING);

/** The command that starts this program again. A single-file executable needs no script. */
export const SELF = Bun.main.startsWith("/$bunfs/")
  ? [process.execPath]
  : [process.execPath, "--no-env-file", Bun.main];

export const spawnServer =
  (argv: readonly string[], log: Log): Spawn =>
  (on) => {
    try {
      const child = Bun.spawn([...SELF, ONE_OF_SEVERAL, ...argv], {
        stdio: ["ignore", "inherit", "inherit"],
        ipc: (message) => {
          if (message === LISTENING) on.listening();
        },
        onExit: (_, code, signal) => on.ended({ code, signal: signal === null ? null : String(signal) }),
      });
      return { pid: child.pid, kill: (signal) => child.kill(signal) };
    } catch (error) {
      log.error("process_not_started", { error: errorText(error) });
      queueMicrotask(() => on.ended({ code: FAILED, signal: null }));
      return { pid: 0, kill: () => undefined };
    }
  };
