/** For people who look: why a task stands where it stands, and how the whole stands. */
import { z } from "zod";
import { formatDurationMs } from "../core/duration.ts";
import { STATUSES, type Status } from "../core/task.ts";
import type { Engine, Stats } from "../engine/engine.ts";
import type { Route } from "./route.ts";
import { parseId } from "./wire.ts";

const time = z.iso.datetime();
const duration = z.string().meta({ description: "A Go duration", examples: ["1.5s"] });
const status = z.enum(STATUSES);

const ExplainAnswer = z.object({
  id: z.int(),
  status,
  reason: z.enum([
    ...["not_due", "no_worker", "waiting_for_slot", "about_to_start"],
    ...["running", "cancel_requested", "worker_silent", "ended"],
  ] as const),
  message: z.string().meta({ description: "The same in a sentence" }),
  position: z.int().nullable().meta({
    description: "Due tasks of its type that go first, counted up to 1,000; null where it is not in line",
  }),
  run_at: time,
  attempt: z.int(),
  worker: z.string().nullable(),
  lease_until: time.nullable(),
  workers: z.array(z.string()).meta({ description: "Those heard of in the last minute that take its type" }),
});

const counts = z.object(
  Object.fromEntries(STATUSES.map((name) => [name, z.int()])) as Record<Status, z.ZodInt>, // one for each
);

const StatsAnswer = z.object({
  counts,
  types: z.array(z.object({ type: z.string(), counts, oldest_run_at: time.nullable() })),
  oldest_waiting: z
    .object({ type: z.string(), run_at: time, waited: duration })
    .nullable()
    .meta({ description: "Of the pending tasks the one that was due first, if it is due" }),
  minutes: z
    .array(
      z.object({
        at: time,
        created: z.int(),
        done: z.int(),
        failed: z.int(),
        cancelled: z.int(),
        retried: z.int(),
        lost: z.int(),
        wait: z.object({ total: duration, longest: duration }),
        run: z.object({ total: duration, longest: duration }),
      }),
    )
    .meta({ description: "The last hour, oldest first; minutes in which nothing happened are left out" }),
  workers: z.array(
    z.object({
      worker: z.string(),
      types: z.array(z.string()),
      running: z.int().meta({
        description: "How many tasks it works on; at least so many where `workers_complete` is false",
      }),
      slots: z.int().meta({
        description:
          "How many tasks it works on at once; of one that does not say so, those that it has and those that it asks for",
      }),
      seen_at: time,
      draining: z.boolean(),
      tasks: z.array(z.int()).meta({ description: "What it works on, up to 100" }),
    }),
  ),
  workers_complete: z.boolean().meta({
    description:
      "False where more than 10,000 tasks run: the later ones are not in `running` and `tasks` of the workers",
  }),
  tags: z
    .array(z.object({ tag: z.string(), count: z.int() }))
    .meta({ description: "The commonest among the latest 1,000 tasks" }),
});

export function createBoardRoutes({ engine }: { readonly engine: Engine }) {
  const explain: Route = {
    id: "explainTask",
    summary: "Why a task stands where it stands",
    answers: { 200: { description: "The reason", schema: ExplainAnswer } },
    problems: ["not_found"],
    run: async ({ params, reply }) => {
      const { task, ...explanation } = await engine.explain(parseId(params.id ?? ""));
      const { id, status, runAt, attempt, lease } = task;
      return reply(
        200,
        JSON.stringify({
          ...{ id, status, ...explanation, attempt },
          run_at: timestamp(runAt),
          worker: lease?.worker ?? null,
          lease_until: lease === null ? null : timestamp(lease.until),
        }),
      );
    },
  };

  const stats: Route = {
    id: "readStats",
    summary: "How the whole stands: counts, the last hour, workers, tags",
    answers: { 200: { description: "At most a second old", schema: StatsAnswer } },
    problems: [],
    run: async ({ reply }) => reply(200, JSON.stringify(presentStats(await engine.stats(), engine.now()))),
  };

  return { explain, stats };
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
