import { parseDurationMs } from "../../core/duration.ts";

/** A duration in at most two units: "4m02s", "3.2s", "2d05h". */
export function briefly(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))}ms`;
  if (ms < 10_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)}s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return twoUnits(seconds, { large: [60, "m"], small: [1, "s"] });
  if (seconds < 86_400) return twoUnits(seconds, { large: [3_600, "h"], small: [60, "m"] });
  return twoUnits(seconds, { large: [86_400, "d"], small: [3_600, "h"] });
}

type Unit = readonly [seconds: number, name: string];

function twoUnits(seconds: number, { large, small }: { readonly large: Unit; readonly small: Unit }): string {
  const rest = Math.floor((seconds % large[0]) / small[0]);
  return `${Math.floor(seconds / large[0])}${large[1]}${String(rest).padStart(2, "0")}${small[1]}`;
}

/** A duration of the API in milliseconds; 0 for an invalid one. */
export const wireMs = (duration: string): number => parseDurationMs(duration) ?? 0;

/** "2026-01-31 12:00:00Z" */
export const clockTime = (time: string): string => time.replace("T", " ").replace(/\.\d+Z$/, "Z");

/** The same with the distance from now. The clocks of two machines differ a little: a small distance is "now". */
export function timeWithDistance(time: string, now: number): string {
  const ms = now - Date.parse(time);
  if (Math.abs(ms) < 1_000) return `${clockTime(time)} (now)`;
  return `${clockTime(time)} (${ms > 0 ? `${briefly(ms)} ago` : `in ${briefly(-ms)}`})`;
}
