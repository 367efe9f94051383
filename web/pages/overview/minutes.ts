/** The statistics of the last hour by minute, for the charts. */
import type { Stats } from "../../../src/client/client.ts";
import { durationMs } from "../../time/format.ts";

const MINUTE_MS = 60_000;
const SHOWN = 60;

export type Minute = {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly done: number;
  readonly failed: number;
  readonly cancelled: number;
  /** failed / (done + failed), from 0 to 100; null if no task ended done or failed in this minute. */
  readonly failedPercent: number | null;
  /** The longest wait and the longest run in seconds; null if no task started, or ended. */
  readonly waitSeconds: number | null;
  readonly runSeconds: number | null;
};

/** Each of the last sixty minutes, including minutes without work. */
export function lastHour(stats: Stats, now: number): readonly Minute[] {
  const known = new Map(stats.minutes.map((minute) => [Date.parse(minute.at), minute]));
  const last = Math.floor(now / MINUTE_MS) * MINUTE_MS;
  return Array.from({ length: SHOWN }, (_, n) => {
    const at = last - (SHOWN - 1 - n) * MINUTE_MS;
    const minute = known.get(at);
    const { done = 0, failed = 0, cancelled = 0 } = minute ?? {};
    const seconds = (text: string | undefined): number | null => {
      const ms = durationMs(text ?? "0s");
      return ms === 0 ? null : ms / 1_000;
    };
    return {
      ...{ at, done, failed, cancelled },
      failedPercent: done + failed === 0 ? null : Math.round((100 * failed) / (done + failed)),
      waitSeconds: seconds(minute?.wait.longest),
      runSeconds: seconds(minute?.run.longest),
    };
  });
}

/** Whether there is anything to draw. */
export const hasWork = (minutes: readonly Minute[]): boolean =>
  minutes.some(({ done, failed, cancelled, waitSeconds, runSeconds }) =>
    [done, failed, cancelled, waitSeconds ?? 0, runSeconds ?? 0].some((value) => value > 0),
  );
