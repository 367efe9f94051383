/** One line of JSON for each event. */
export type Log = {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** Whether debug lines are written, for callers that need work for such a line. */
  readonly isDebug: boolean;
};

export type LogFields = Readonly<Record<string, string | number | boolean | null | undefined>>;

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type Level = (typeof LOG_LEVELS)[number];

/**
 * @param setup.pretty for a terminal: time, level and words instead of JSON
 * @param setup.always fields of every line
 */
export function createLog(setup: {
  readonly level: Level;
  readonly pretty: boolean;
  readonly always?: LogFields;
  readonly now: () => number;
  readonly write: (line: string) => void;
}): Log {
  const threshold = LOG_LEVELS.indexOf(setup.level);
  const format = setup.pretty ? prettyLine : jsonLine;

  const at = (level: Level) => {
    if (LOG_LEVELS.indexOf(level) < threshold) return () => undefined;
    return (event: string, fields: LogFields = {}) =>
      setup.write(format(setup.now(), level, event, { ...setup.always, ...fields }));
  };

  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    isDebug: threshold === 0,
  };
}

const jsonLine = (now: number, level: Level, event: string, fields: LogFields): string =>
  `${JSON.stringify({ time: new Date(now).toISOString(), level, event, ...fields })}\n`;

const COLOURS: Record<Level, number> = { debug: 90, info: 36, warn: 33, error: 31 };

function prettyLine(now: number, level: Level, event: string, fields: LogFields): string {
  const time = new Date(now).toISOString().slice(11, 23);
  const words = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${typeof value === "string" ? JSON.stringify(value) : value}`);
  return `${time} \u001b[${COLOURS[level]}m${level.padEnd(5)}\u001b[0m ${event}${words.join("")}\n`;
}

/** The message of an error for a log field, followed by the messages of its causes: "cannot connect" alone does not give the reason. */
export const errorText = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const reasons = [...new Set(causesOf(error).flatMap(reasonsOf))];
  return [error.stack ?? error.message, ...reasons.map((reason) => `caused by: ${reason}`)].join("\n");
};

const causesOf = (error: unknown): readonly unknown[] => {
  if (error instanceof AggregateError) return error.errors;
  return error instanceof Error && error.cause !== undefined ? [error.cause] : [];
};

/** The messages at the ends of all its causes. */
const reasonsOf = (error: unknown): readonly string[] => {
  const causes = causesOf(error);
  if (causes.length > 0) return causes.flatMap(reasonsOf);
  return [error instanceof Error ? error.message : String(error)];
};
