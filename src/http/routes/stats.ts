/** Statistics: counts, the last hour, workers, tags. */
import { z } from "zod";
import { formatDurationMs } from "../../core/duration.ts";
import { STATUSES, type Status } from "../../core/task.ts";
import type { Maintenance } from "../../engine/maintenance.ts";
import type { Stats, Watchers } from "../../engine/watchers.ts";
import { durationAnswer, taskId, timeAnswer } from "../../wire/shared-schemas.ts";
import type { Route } from "../route.ts";

const time = timeAnswer;
const duration = durationAnswer;
const count = z.int().min(0);

const countOf = (status: Status) => count.meta({ description: `How many tasks are ${status}` });
const counts = z
  .object(Object.fromEntries(STATUSES.map((name) => [name, countOf(name)])) as Record<Status, z.ZodInt>) // one for each
  .meta({ id: "StatusCounts", description: "How many tasks have each status" });
const spans = z
  .object({
    total: duration.meta({ description: "Their sum, a Go duration" }),
    longest: duration.meta({ description: "The longest, a Go duration" }),
  })
  .meta({ id: "Spans", description: "Durations of all tasks in a minute" });

export const StatsAnswer = z
  .object({
    counts,
    types: z
      .array(
        z
          .object({
            type: z.string().meta({ description: "The type" }),
            counts,
            oldest_run_at: time
              .nullable()
              .meta({ description: "When its first pending task was or is due; null if none is pending" }),
          })
          .meta({ id: "TypeStats", description: "The tasks of one type" }),
      )
      .meta({ description: "The types that have tasks" }),
    oldest_waiting: z
      .object({
        type: z.string().meta({ description: "Its type" }),
        run_at: time.meta({ description: "When it was due; RFC 3339, UTC" }),
        waited: duration.meta({ description: "How long it has been due, a Go duration" }),
      })
      .meta({ id: "OldestWaiting", description: "The task that has been due for the longest time" })
      .nullable()
      .meta({ description: "The pending task that has been due for the longest time; null if none is due" }),
    minutes: z
      .array(
        z
          .object({
            at: time.meta({ description: "When the minute began; RFC 3339, UTC" }),
            created: count.meta({ description: "Tasks created" }),
            done: count.meta({ description: "Tasks done" }),
            failed: count.meta({ description: "Tasks that failed and are not tried again" }),
            cancelled: count.meta({ description: "Tasks cancelled" }),
            retried: count.meta({
              description: "Attempts that failed and after which the task is tried again",
            }),
            lost: count.meta({ description: "Leases that expired" }),
            wait: spans.meta({ description: "From due to started" }),
            run: spans.meta({ description: "From started to ended" }),
          })
          .meta({ id: "MinuteStats", description: "What happened in a minute" }),
      )
      .meta({ description: "The last hour, oldest first, without minutes in which nothing happened" }),
    workers: z
      .array(
        z
          .object({
            worker: z.string().meta({ description: "Its name" }),
            types: z.array(z.string()).meta({ description: "The types that it claims" }),
            running: count.meta({
              description: "How many tasks it works on; a lower bound if `workers_complete` is false",
            }),
            slots: count.meta({
              description:
                "How many tasks it works on at once; if it does not report that, the number of tasks that it holds and asks for",
            }),
            seen_at: time.meta({ description: "When it last sent a request; RFC 3339, UTC" }),
            draining: z
              .boolean()
              .meta({ description: "Whether it is draining, that is, gets no more tasks" }),
            tasks: z.array(taskId).meta({ description: "The tasks that it works on, up to 100" }),
          })
          .meta({ id: "WorkerStats", description: "A worker" }),
      )
      .meta({ description: "The workers that were active recently" }),
    workers_complete: z.boolean().meta({
      description:
        "False if more than 10,000 tasks run: `running` and `tasks` of the workers then lack the tasks beyond the first 10,000",
    }),
    tags: z
      .array(
        z
          .object({
            tag: z.string().meta({ description: "The tag" }),
            count: count.meta({ description: "How many of these tasks have it" }),
          })
          .meta({ id: "TagCount", description: "The frequency of a tag" }),
      )
      .meta({ description: "The most frequent tags of the latest 1,000 tasks" }),
  })
  .meta({ id: "Stats", description: "Statistics of the server" });

export type StatsSetup = { readonly engine: Pick<Watchers, "stats"> & Pick<Maintenance, "now"> };

export function createStatsRoute({ engine }: StatsSetup): Route {
  return {
    id: "readStats",
    summary: "Statistics: counts, the last hour, workers, tags",
    access: "read",
    answers: { 200: { description: "At most a second old", schema: StatsAnswer } },
    problems: [],
    run: async ({ reply }) => reply(200, JSON.stringify(presentStats(await engine.stats(), engine.now()))),
  };
}

const timestamp = (ms: number): string => new Date(ms).toISOString();

function presentStats(
  { types, minutes, workers, isComplete, tags }: Stats,
  now: number,
): z.input<typeof StatsAnswer> {
  const totals = Object.fromEntries(
    STATUSES.map((status) => [status, types.reduce((sum, type) => sum + type.counts[status], 0)]),
  ) as Record<Status, number>; // one for each
  return {
    counts: totals,
    types: types.map(({ type, counts, oldestRunAt }) => ({
      ...{ type, counts },
      oldest_run_at: oldestRunAt === null ? null : timestamp(oldestRunAt),
    })),
    oldest_waiting: oldestWaiting(types, now),
    minutes: minutes.map(({ at, waitMs, runMs, longestWaitMs, longestRunMs, ...counted }) => ({
      at: timestamp(at),
      ...counted,
      wait: { total: formatDurationMs(waitMs), longest: formatDurationMs(longestWaitMs) },
      run: { total: formatDurationMs(runMs), longest: formatDurationMs(longestRunMs) },
    })),
    workers: workers.map(({ name, types, free, slots, seenAt, isDraining, running, tasks }) => ({
      worker: name,
      types: [...types],
      running,
      slots: slots ?? free + running,
      seen_at: timestamp(seenAt),
      draining: isDraining,
      tasks: [...tasks],
    })),
    workers_complete: isComplete,
    tags: [...tags],
  };
}

function oldestWaiting(types: Stats["types"], now: number) {
  let oldest: { readonly type: string; readonly runAt: number } | null = null;
  for (const { type, oldestRunAt: runAt } of types) {
    if (runAt !== null && runAt <= now && runAt < (oldest?.runAt ?? Number.POSITIVE_INFINITY))
      oldest = { type, runAt };
  }
  if (oldest === null) return null;
  return { type: oldest.type, run_at: timestamp(oldest.runAt), waited: formatDurationMs(now - oldest.runAt) };
}
