/** The tasks of `tasktrack watch`: kept up to date by events, and completed by reads of the lists now and then. */
import { type Client, TaskTrackError } from "../../client/client.ts";
import type { Stats, Task, TaskQuery, TaskState } from "../../client/types.ts";
import { ENDED_STATUSES, type Status, takesType } from "../../core/task.ts";
import { createLoop } from "../../lib/loop.ts";
import type { Call } from "../command.ts";
import { OK } from "../exit-codes.ts";
import { interruptible } from "../interrupt.ts";
import { startScreen } from "../live.ts";
import { watchScreen } from "../show/live-table.ts";
import type { Seen } from "../show/task-row.ts";
import { statusesOf } from "./filter.ts";
import type { Server } from "./server.ts";

/** Events report changes only. The next pending tasks and the counts are read this often. */
const LOOK_EVERY_MS = 1_000;

/** Resolves with the exit code after an interrupt. */
export async function watchTable(call: Call, { client, url }: Server): Promise<number> {
  const { terminal, given, paint } = call;
  const { clock } = terminal;
  const statuses = statusesOf(given);
  const types = given.texts("type");
  const known = createKnown(clock.now, (task) => takes({ statuses, types }, task));
  let stats: Stats = await client.stats(); // rejects if the server does not answer; then nothing is drawn
  let awaySince: number | null = null;
  let isOutdated = true;
  let rowsLookedFor = 0;

  const { exitCode } = await interruptible(terminal, async (interrupted) => {
    const failed = new AbortController();
    const signal = AbortSignal.any([interrupted, failed.signal]);
    const screen = startScreen(terminal, (size) =>
      watchScreen({ tasks: known.all(), stats, url, awaySince }, { now: clock.now(), paint, ...size }),
    );

    async function look(): Promise<number> {
      const { rows } = terminal.out.size();
      if (isOutdated || rows > rowsLookedFor) {
        isOutdated = false;
        rowsLookedFor = rows;
        const done = known.beginLook();
        done(await lookAround(client, { statuses, types, limit: rows, signal }));
      }
      stats = await client.stats({ signal });
      screen.changed();
      return LOOK_EVERY_MS;
    }

    const looking = createLoop({
      after: clock.after,
      round: look,
      onError: (error) => {
        // The stream of events reports when the server does not answer, and when it does again.
        if (!(error instanceof TaskTrackError)) failed.abort(error);
        isOutdated = true;
        return LOOK_EVERY_MS;
      },
    });
    try {
      const events = client.watch({
        ...(types.length === 0 ? {} : { type: types }),
        signal,
        onConnection: (isConnected) => {
          awaySince = isConnected ? null : (awaySince ?? clock.now());
          if (isConnected) isOutdated = true;
          screen.changed();
        },
      });
      looking.start();
      for await (const event of events) {
        if (event.kind === "task") known.see(event.task);
        if (event.kind === "deleted") known.lose(event.id);
        isOutdated = true;
        screen.changed();
      }
    } finally {
      screen.stop();
      await looking.stop();
    }
    if (!interrupted.aborted) failed.signal.throwIfAborted();
    return OK;
  });
  return exitCode;
}

type Wanted = { readonly statuses: readonly Status[]; readonly types: readonly string[] };

const takes = ({ statuses, types }: Wanted, task: TaskState): boolean =>
  (statuses.length === 0 || statuses.includes(task.status)) &&
  (types.length === 0 || types.some((pattern) => takesType(pattern, task.type)));

/** The first running, pending and ended tasks: enough for a screen. */
async function lookAround(
  client: Client,
  { statuses, types, limit, signal }: Wanted & { readonly limit: number; readonly signal: AbortSignal },
): Promise<readonly Task[]> {
  const isWanted = (status: Status): boolean => statuses.length === 0 || statuses.includes(status);
  const ended = ENDED_STATUSES.filter(isWanted);
  const queries: readonly TaskQuery[] = [
    ...(["running", "pending"] as const).filter(isWanted).map((status) => ({ status })),
    ...(ended.length === 0 ? [] : [{ status: ended, sort: "-finished_at" as const }]),
  ];
  const pages = queries.map((query) =>
    client.page({ ...query, ...(types.length === 0 ? {} : { type: types }), limit, signal }),
  );
  return (await Promise.all(pages)).flatMap(({ tasks }) => tasks);
}

/**
 * The last known state of tasks. A task is dropped if a read does not find it and no event has reported it
 * since the read began.
 */
export function createKnown(now: () => number, isWanted: (task: TaskState) => boolean) {
  let tasks = new Map<number, Seen>();
  /** Tasks with an event since the latest read began: the state in the read is older. */
  let changed = new Set<number>();

  function put(into: Map<number, Seen>, task: TaskState): void {
    if (isWanted(task)) into.set(task.id, { task, seenAt: now() });
    else into.delete(task.id);
  }

  return {
    all: (): Iterable<Seen> => tasks.values(),
    see: (task: TaskState): void => {
      changed.add(task.id);
      put(tasks, task);
    },
    lose: (id: number): void => {
      changed.add(id);
      tasks.delete(id);
    },
    /** Call the result with all tasks that were read. */
    beginLook: () => {
      changed = new Set();
      return (found: readonly TaskState[]): void => {
        const kept = new Map([...tasks].filter(([id]) => changed.has(id)));
        for (const task of found) if (!changed.has(task.id)) put(kept, task);
        tasks = kept;
      };
    },
  };
}
