/**
 * Durations as Go writes them: "250ms", "4m2.348501s", "1h30m", "0s". A duration is exact to the nanosecond, within
 * the range of Go's int64 (about ±292 years): canonical text that is parsed and printed is the same text.
 * TaskTrack's own times are whole milliseconds; the two functions with `Ms` in their name convert to them and from them.
 */

const MAX_NS = 2n ** 63n - 1n;
const MIN_NS = -(2n ** 63n);

const UNITS_NS: ReadonlyMap<string, bigint> = new Map([
  ["ns", 1n],
  ["us", 1_000n],
  ["\u00b5s", 1_000n], // micro sign
  ["\u03bcs", 1_000n], // Greek mu
  ["ms", 1_000_000n],
  ["s", 1_000_000_000n],
  ["m", 60_000_000_000n],
  ["h", 3_600_000_000_000n],
]);

const LONGEST_TEXT = 100;
const PART = /(\d*)(?:\.(\d*))?(ns|us|\u00b5s|\u03bcs|ms|s|m|h)/y;

/**
 * Parses a Go duration into nanoseconds; null when the text is not a duration.
 * @example parseDuration("1m30.5s") // 90_500_000_000n
 */
export function parseDuration(text: string): bigint | null {
  if (text.length === 0 || text.length > LONGEST_TEXT) return null;
  const negative = text.startsWith("-");
  const start = negative || text.startsWith("+") ? 1 : 0;
  if (text.slice(start) === "0") return 0n;
  const magnitude = sumParts(text, start);
  if (magnitude === null) return null;
  const ns = negative ? -magnitude : magnitude;
  return ns > MAX_NS || ns < MIN_NS ? null : ns;
}

function sumParts(text: string, start: number): bigint | null {
  if (start === text.length) return null;
  let total = 0n;
  PART.lastIndex = start;
  while (PART.lastIndex < text.length) {
    const part = PART.exec(text);
    if (part === null) {
      PART.lastIndex = 0;
      return null;
    }
    const ns = partNs(part[1] ?? "", part[2] ?? "", part[3] ?? "");
    if (ns === null) return null;
    total += ns;
  }
  return total;
}

/** As in Go: the digits of a fraction are kept as far as an int64 holds them, and multiplied as a float64. */
function partNs(whole: string, fraction: string, unit: string): bigint | null {
  const unitNs = UNITS_NS.get(unit);
  if (unitNs === undefined || (whole === "" && fraction === "")) return null;
  const wholeNs = BigInt(whole || "0") * unitNs;
  const { digits, scale } = leadingFraction(fraction);
  return wholeNs + BigInt(Math.trunc(Number(digits) * (Number(unitNs) / scale)));
}

function leadingFraction(fraction: string): { readonly digits: bigint; readonly scale: number } {
  let digits = 0n;
  let scale = 1;
  for (const digit of fraction) {
    if (digits > MAX_NS / 10n) break;
    const next = digits * 10n + BigInt(digit);
    if (next > MAX_NS + 1n) break;
    digits = next;
    scale *= 10;
  }
  return { digits, scale };
}

/**
 * Prints nanoseconds the way Go's Duration.String does.
 * @example formatDuration(90_500_000_000n) // "1m30.5s"
 */
export function formatDuration(ns: bigint): string {
  if (ns < 0n) return `-${formatDuration(-ns)}`;
  if (ns === 0n) return "0s";
  if (ns < 1_000n) return `${ns}ns`;
  if (ns < 1_000_000n) return `${decimal(ns, 3)}\u00b5s`;
  if (ns < 1_000_000_000n) return `${decimal(ns, 6)}ms`;
  const minutes = ns / 60_000_000_000n;
  const seconds = `${decimal(ns % 60_000_000_000n, 9)}s`;
  if (minutes === 0n) return seconds;
  return minutes < 60n ? `${minutes}m${seconds}` : `${minutes / 60n}h${minutes % 60n}m${seconds}`;
}

/** `value` / 10^places without trailing zeros. */
function decimal(value: bigint, places: number): string {
  const digits = value.toString().padStart(places + 1, "0");
  const fraction = digits.slice(-places).replace(/0+$/, "");
  const whole = digits.slice(0, -places);
  return fraction === "" ? whole : `${whole}.${fraction}`;
}

/**
 * Parses a Go duration into whole milliseconds; null when the text is not a duration. TaskTrack reads every duration with this
 * function, because stores keep whole milliseconds: PostgreSQL refuses a fraction in a bigint. The value is rounded away from
 * zero, so that a short limit does not become zero and a negative duration stays negative.
 * @example parseDurationMs("1.2345s") // 1_235
 */
export function parseDurationMs(text: string): number | null {
  const ns = parseDuration(text);
  if (ns === null) return null;
  const whole = Number(ns / NS_PER_MS);
  return ns % NS_PER_MS === 0n ? whole : whole + (ns < 0n ? -1 : 1);
}

const NS_PER_MS = 1_000_000n;

/**
 * Prints milliseconds as Go would. Whole milliseconds, which tasks have, are printed without big integers,
 * because every GET prints a duration.
 * @example formatDurationMs(242_348) // "4m2.348s"
 */
export function formatDurationMs(ms: number): string {
  if (!Number.isSafeInteger(ms) || ms < 1_000) {
    return ms === 0 ? "0s" : formatDuration(BigInt(Math.round(ms * 1e6)));
  }
  const minutes = Math.floor(ms / 60_000);
  const rest = ms - minutes * 60_000;
  const seconds = `${rest / 1_000}s`;
  if (minutes === 0) return seconds;
  return minutes < 60 ? `${minutes}m${seconds}` : `${Math.floor(minutes / 60)}h${minutes % 60}m${seconds}`;
}
