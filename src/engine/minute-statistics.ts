/**
 * Statistics of the last hour, minute by minute. Each process sums up its own steps and writes the sums every few seconds; a read adds
 * the sums of all processes. Nothing is counted by reading tasks.
 */
import type { Clock } from "../core/clock.ts";
import type { LightTask, Task } from "../core/task.ts";
import { errorText, type Log } from "../lib/log.ts";
import { createLoop } from "../lib/loop.ts";
import type { Service } from "../lib/service.ts";
import type { TaskStore } from "../store/store.ts";
import { documentsUnder } from "./documents.ts";

/** Sums of one minute. Times are milliseconds, over all attempts that ended in it. */
export type Minute = {
  readonly created: number;
  readonly done: number;
  readonly failed: number;
  readonly cancelled: number;
  /** Failed attempts that will be retried, and attempts whose worker was lost. */
  readonly retried: number;
  readonly lost: number;
  readonly waitMs: number;
  readonly runMs: number;
  readonly longestWaitMs: number;
  readonly longestRunMs: number;
};

export type MinuteAt = Minute & { readonly at: number };

export interface MinuteStatistics {
  created(count: number): void;
  /** These attempts have been claimed. */
  started(tasks: readonly Pick<Task, "runAt" | "startedAt">[]): void;
  /** These steps have been written; each may have ended an attempt, or the task without one. */
  stepped(steps: readonly { readonly from: LightTask; readonly to: LightTask }[]): void;
  /** The last hour, oldest first; minutes in which nothing happened are left out. */
  read(): Promise<MinuteAt[]>;
  readonly service: Service;
}

const MINUTE_MS = 60_000;
const KEPT_MS = 70 * MINUTE_MS;
const SHOWN = 60;
const WRITE_EVERY_MS = 5_000;

type Sums = { -readonly [M in keyof Minute]: Minute[M] };

const NONE: Minute = {
  ...{ created: 0, done: 0, failed: 0, cancelled: 0, retried: 0, lost: 0 },
  ...{ waitMs: 0, runMs: 0, longestWaitMs: 0, longestRunMs: 0 },
};

export function createMinuteStatistics(setup: {
  readonly store: Pick<TaskStore, "writeDocuments" | "readDocuments">;
  readonly now: () => number;
  /** Names this process among those on the store. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
}): MinuteStatistics {
  const { store, now, name, clock, log } = setup;
  const own = new Map<number, Sums>(); // by the start of the minute
  const unwritten = new Set<number>();

  /** The sums of the present minute, which the caller changes. */
  function present(): Sums {
    const at = Math.floor(now() / MINUTE_MS) * MINUTE_MS;
    const minute = own.get(at) ?? { ...NONE };
    own.set(at, minute);
    unwritten.add(at);
    return minute;
  }

  function started(tasks: readonly Pick<Task, "runAt" | "startedAt">[]): void {
    if (tasks.length === 0) return;
    const minute = present();
    for (const { runAt, startedAt } of tasks) {
      const waitMs = Math.max(0, (startedAt ?? runAt) - runAt);
      minute.waitMs += waitMs;
      minute.longestWaitMs = Math.max(minute.longestWaitMs, waitMs);
    }
  }

  function stepped(steps: readonly { readonly from: LightTask; readonly to: LightTask }[]): void {
    let minute: Sums | null = null;
    for (const { from, to } of steps) {
      const isEnd = from.finishedAt === null && to.finishedAt !== null;
      const isEndOfAttempt = from.lease !== null && to.lease === null;
      if (!isEnd && !isEndOfAttempt) continue;
      minute ??= present();
      if (isEnd) minute[to.status]++;
      if (isEndOfAttempt) addAttempt(minute, to);
    }
  }

  async function write(): Promise<number> {
    const at = now();
    for (const minute of own.keys()) if (minute < at - KEPT_MS) own.delete(minute);
    const minutes = [...unwritten].filter((minute) => own.has(minute));
    unwritten.clear();
    const documents = minutes.map((minute) => ({
      name: `minute/${minute}/${name}`,
      value: JSON.stringify(own.get(minute)),
      until: minute + KEPT_MS,
    }));
    try {
      if (documents.length > 0) await store.writeDocuments(documents, at);
    } catch (error) {
      for (const minute of minutes) unwritten.add(minute); // they are written with the next minutes
      throw error;
    }
    return WRITE_EVERY_MS;
  }

  const writing = createLoop({
    after: clock.after,
    round: write,
    onError: (error) => {
      log.debug("minutes_failed", { error: errorText(error) });
      return WRITE_EVERY_MS;
    },
  });

  async function read(): Promise<MinuteAt[]> {
    await write();
    const oldest = (Math.floor(now() / MINUTE_MS) - SHOWN + 1) * MINUTE_MS;
    const total = new Map<number, Minute>();
    for await (const document of documentsUnder(store, "minute/", now())) {
      const at = Number(document.name.split("/")[1]);
      const minute = JSON.parse(document.value) as Minute; // as `write` has written it
      if (at >= oldest) total.set(at, sum(total.get(at) ?? NONE, minute));
    }
    return [...total].sort(([a], [b]) => a - b).map(([at, minute]) => ({ at, ...minute }));
  }

  return {
    created: (count) => {
      present().created += count;
    },
    started,
    stepped,
    read,
    service: {
      name: "minute statistics",
      start: writing.start,
      stop: async () => {
        await writing.stop();
        await write().catch((error: unknown) => log.debug("minutes_failed", { error: errorText(error) }));
      },
    },
  };
}

/** The task's latest attempt has ended. */
function addAttempt(minute: Sums, { status, attempts }: LightTask): void {
  const attempt = attempts.at(-1);
  if (attempt === undefined) return;
  const runMs = Math.max(0, attempt.finishedAt - attempt.startedAt);
  minute.runMs += runMs;
  minute.longestRunMs = Math.max(minute.longestRunMs, runMs);
  if (status === "pending" && attempt.outcome === "failed") minute.retried++;
  if (attempt.outcome === "lost") minute.lost++;
}

const sum = (a: Minute, b: Minute): Minute => ({
  created: a.created + b.created,
  done: a.done + b.done,
  failed: a.failed + b.failed,
  cancelled: a.cancelled + b.cancelled,
  retried: a.retried + b.retried,
  lost: a.lost + b.lost,
  waitMs: a.waitMs + b.waitMs,
  runMs: a.runMs + b.runMs,
  longestWaitMs: Math.max(a.longestWaitMs, b.longestWaitMs),
  longestRunMs: Math.max(a.longestRunMs, b.longestRunMs),
});
