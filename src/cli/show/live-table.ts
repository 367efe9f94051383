/** The screen of `tasktrack watch`: running tasks, the next ones, and those that ended last. */
import type { Stats, TaskState } from "../../client/types.ts";
import type { Status } from "../../core/task.ts";
import type { Paint } from "./paint.ts";
import { countsLine } from "./statistics.ts";
import { layOut, rowLine, titleLine } from "./table.ts";
import { type Seen, TASK_COLUMNS, taskRow } from "./task-row.ts";
import { briefly, wireMs } from "./time.ts";

export type Watched = {
  readonly tasks: Iterable<Seen>;
  readonly stats: Stats | null;
  readonly url: string;
  /** When the server stopped answering; null while it answers. */
  readonly awaySince: number | null;
};

type How = {
  readonly now: number;
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
};

const HEAD_LINES = 4;

/** At most as many lines as the screen has rows. */
export function watchScreen(watched: Watched, { now, columns, rows, paint }: How): string[] {
  const room = Math.max(0, rows - HEAD_LINES);
  const shown = chooseRows([...watched.tasks], room);
  const cells = shown.map((seen) => taskRow(seen, { now, paint }));
  const layout = layOut(TASK_COLUMNS, cells, columns);
  return [
    watched.stats === null ? "" : countsLine(watched.stats.counts, paint),
    stateLine(watched, { now, paint }),
    "",
    paint("bold", titleLine(layout)),
    ...cells.map((row) => rowLine(layout, row)),
  ].slice(0, Math.max(1, rows));
}

function stateLine({ url, awaySince, stats }: Watched, { now, paint }: Pick<How, "now" | "paint">): string {
  if (awaySince !== null) {
    return paint("yellow", `${url} has not answered for ${briefly(now - awaySince)}; trying again`);
  }
  const oldest = stats?.oldest_waiting ?? null;
  const waits = oldest === null ? "" : `, the oldest waits for ${briefly(wireMs(oldest.waited))}`;
  const workers =
    stats === null ? "" : `, ${stats.workers.length} ${stats.workers.length === 1 ? "worker" : "workers"}`;
  return paint("dim", `${url}${workers}${waits}`);
}

/** Running tasks by their start, pending tasks in about their order of claims, ended tasks by their end, latest first. */
const GROUPS: readonly {
  readonly statuses: readonly Status[];
  readonly order: (a: TaskState, b: TaskState) => number;
}[] = [
  { statuses: ["running"], order: (a, b) => inTime(a.started_at, b.started_at) || a.id - b.id },
  {
    statuses: ["pending"],
    order: (a, b) => b.priority - a.priority || inTime(a.run_at, b.run_at) || a.id - b.id,
  },
  {
    statuses: ["done", "failed", "cancelled"],
    order: (a, b) => inTime(b.finished_at, a.finished_at) || b.id - a.id,
  },
];

/** Times of the API have one length and one zone, so they can be compared as texts. */
function inTime(a: string | null, b: string | null): number {
  const [first, second] = [a ?? "", b ?? ""];
  return first === second ? 0 : first < second ? -1 : 1;
}

/**
 * Chooses rows for the room: each group gets up to a quarter of it. Rows that are left over go first to the
 * running tasks, then to the pending tasks, then to the ended tasks.
 */
export function chooseRows(tasks: readonly Seen[], room: number): Seen[] {
  const groups = GROUPS.map(({ statuses, order }) =>
    tasks.filter(({ task }) => statuses.includes(task.status)).sort((a, b) => order(a.task, b.task)),
  );
  const quarter = Math.floor(room / 4);
  const given = groups.map((group) => Math.min(group.length, quarter));
  let left = room - given.reduce((sum, one) => sum + one, 0);
  for (const [at, group] of groups.entries()) {
    const more = Math.min(left, group.length - (given[at] ?? 0));
    given[at] = (given[at] ?? 0) + more;
    left -= more;
  }
  return groups.flatMap((group, at) => group.slice(0, given[at]));
}
