import type { LogLine, TaskId } from "../../core/task.ts";
import type { Connection } from "./connection.ts";
import { SCRIPTS } from "./scripts.ts";

/** The upper bound of one script's reads. */
const LINES = 500;
const BYTES = 1_048_576;

export function createLog(connection: Connection): (id: TaskId, after: number) => Promise<LogLine[]> {
  return async function readLog(id: TaskId, after: number): Promise<LogLine[]> {
    const log: LogLine[] = [];
    for (;;) {
      const last = log.at(-1)?.n ?? after;
      const args = [String(id), String(last), String(LINES), String(BYTES)];
      // As read_log.lua says.
      const [first, ...lines] = (await connection.run(SCRIPTS.readLog, args)) as [number, ...string[]];
      if (lines.length === 0) return log;
      for (const [at, line] of lines.entries()) log.push(logLine(first + at, line));
    }
  };
}

function logLine(n: number, line: string): LogLine {
  const [at, level, message] = JSON.parse(line) as [number, LogLine["level"], string]; // extend.lua wrote it
  return { n, at, level, message };
}
