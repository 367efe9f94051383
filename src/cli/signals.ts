import { errorText, type Log } from "../lib/log.ts";
import { systemClock } from "../lib/system-clock.ts";
import { ignoresHangup } from "./hangup.ts";

const FAILED = 1;

/** npm and a terminal both deliver a Ctrl-C; what comes this soon after the first is the same wish. */
const SAME_SIGNAL_MS = 1_000;

/**
 * The first signal stops gracefully; a later one, no echo of the first, exits at once. One of several processes whose parent
 * has gone stops as well.
 * @param stop resolves with the exit code
 * @param abort what is to be done before the exit at once
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
    // A handler that ignored its abort would keep the process alive: it ends here, and its lease with time.
    const exit = (code: number): void => {
      resolve(code);
      process.exit(code);
    };
    const isDetached = ignoresHangup(); // started by nohup, so the process outlives its terminal
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    if (!isDetached) process.on("SIGHUP", onSignal);
    process.on("disconnect", onOrphaned);
    if (process.send !== undefined && !process.connected) onOrphaned(); // it went before there was an ear
  });
}
