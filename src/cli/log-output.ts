/** The log of a process that must outlive the reader of its log. */
import { createLog, type Level, type Log, type LogFields } from "../lib/log.ts";

/** The limit of unread lines, in UTF-16 code units. Lines beyond it are dropped and counted. */
const WAITING_AT_MOST = 1_048_576;

type Stream = { write(text: string, done: (error?: Error | null) => void): unknown };

/**
 * A log on a stream whose reader may be slow or may have ended. The runtime never waits for a pipe: it buffers unread data without a limit
 * (28 MB in three seconds of debug lines). This log buffers up to a megabyte. When there is room again, it logs the number
 * of missing lines. If the stream fails, its lines are lost and the process continues: see `outliveOutput`.
 */
export function createOutputLog(setup: {
  readonly stream: Stream;
  readonly level: Level;
  readonly pretty: boolean;
  readonly always?: LogFields;
  readonly now: () => number;
}): Log {
  const { stream, ...format } = setup;
  let waiting = 0;
  let dropped = 0;

  function write(line: string): void {
    if (waiting > 0 && waiting + line.length > WAITING_AT_MOST) dropped++;
    else send(line);
  }

  function send(line: string): void {
    waiting += line.length;
    stream.write(line, () => {
      waiting -= line.length;
      if (dropped > 0 && waiting <= WAITING_AT_MOST / 2) sayDropped();
    });
  }

  function sayDropped(): void {
    const count = dropped;
    dropped = 0;
    log.warn("log_lines_dropped", { count });
  }

  const log = createLog({ ...format, write });
  return log;
}
