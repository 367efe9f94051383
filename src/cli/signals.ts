import { errorText, type Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import { ignoresHangup } from "./hangup.ts";

const FAILED = 1;

/** After a Ctrl-C, both npm and the terminal send a signal. A second signal within this time counts as a copy of the first. */
const SAME_SIGNAL_MS = 1_000;

/**
 * The first signal stops gracefully; a later one exits at once. A process whose parent has ended stops as
 * well.
 * @param stop resolves with the exit code
 * @param abort is called before the exit at once
 */
export function stopOnSignal(
  log: Log,
  stop: (signal: NodeJS.Signals) => Promise<number>,
  abort = (): void => undefined,
): Promise<number> {
  return new Promise((resolve) => {
    let firstAt: number | null = null;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (firstAt === null) {
        log.info("signal", { signal });
        begin(signal);
      } else if (systemClock.monotonic() - firstAt > SAME_SIGNAL_MS) {
        log.warn("stopped_at_once", { signal });
        abort();
        exit(FAILED);
      }
    };
    const onOrphaned = (): void => {
      if (firstAt !== null) return;
      log.warn("parent_gone");
      begin("SIGTERM");
    };
    const begin = (signal: NodeJS.Signals): void => {
      firstAt = systemClock.monotonic();
      stop(signal).then(exit, (error: unknown) => {
        log.error("stop_failed", { error: errorText(error) });
        exit(FAILED);
      });
    };
    // A handler that ignores its abort would keep the process alive. The process ends here, and the lease of the task expires.
    const exit = (code: number): void => {
      resolve(code);
      process.exit(code);
    };
    const isDetached = ignoresHangup(); // started by nohup, so the process outlives its terminal
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    if (!isDetached) process.on("SIGHUP", onSignal);
    process.on("disconnect", onOrphaned);
    if (process.send !== undefined && !process.connected) onOrphaned(); // the parent ended before the listener was added
  });
}
