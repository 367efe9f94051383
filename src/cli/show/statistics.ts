import type { Stats } from "../../client/types.ts";
import { STATUSES, type Status } from "../../core/task.ts";
import { type Fact, factLines } from "./facts.ts";
import { type Paint, styleOf } from "./paint.ts";
import { type Cell, type Column, layOut, rowLine, titleLine } from "./table.ts";
import { harmless } from "./text.ts";
import { briefly, wireMs } from "./time.ts";

type How = { readonly now: number; readonly width: number; readonly paint: Paint };

/** The statistics on one screen. */
export function statisticsLines(stats: Stats, { now, width, paint }: How): string[] {
  const head = [
    countsLine(stats.counts, paint),
    ...waitingLines(stats),
    ...hourLines(stats, { now, width, paint }),
  ];
  return [
    ...head,
    ...section("TYPE", typeTable(stats, paint), { width, paint }),
    ...section("WORKER", workerTable(stats, now), { width, paint }),
    ...(stats.tags.length === 0
      ? []
      : ["", `Tags: ${stats.tags.map(({ tag, count }) => `${harmless(tag)} ${count}`).join(", ")}`]),
  ];
}

/** "2 running, 5 pending, 11 done, 1 failed, 0 cancelled" */
export const countsLine = (counts: Stats["counts"], paint: Paint): string =>
  BUSIEST_FIRST.map((status) => {
    const text = `${counts[status].toLocaleString("en")} ${status}`;
    return counts[status] === 0 ? paint("dim", text) : paint(styleOf(status), text);
  }).join(", ");

const BUSIEST_FIRST = [
  "running",
  "pending",
  "done",
  "failed",
  "cancelled",
] as const satisfies readonly Status[];

function waitingLines({ oldest_waiting: oldest }: Stats): string[] {
  if (oldest === null) return [];
  return [
    `The oldest waiting task (${harmless(oldest.type)}) has been due for ${briefly(wireMs(oldest.waited))}`,
  ];
}

function hourLines({ minutes }: Stats, { now, width, paint }: How): string[] {
  const sum = (of: (minute: Stats["minutes"][number]) => number): number =>
    minutes.reduce((total, minute) => total + of(minute), 0);
  const longest = (of: (minute: Stats["minutes"][number]) => string): string | null =>
    minutes.length === 0 ? null : briefly(Math.max(...minutes.map((minute) => wireMs(of(minute)))));
  const ended = sum(({ done, failed, cancelled }) => done + failed + cancelled);
  const facts: Fact[] = [
    ["created", String(sum(({ created }) => created))],
    [
      "ended",
      `${ended} (${sum(({ done }) => done)} done, ${sum(({ failed }) => failed)} failed, ${sum(({ cancelled }) => cancelled)} cancelled)`,
    ],
    ["tried again", `${sum(({ retried }) => retried)}, lost ${sum(({ lost }) => lost)}`],
    ["longest wait", longest(({ wait }) => wait.longest)],
    ["longest run", longest(({ run }) => run.longest)],
    ["by minute", sparkOf(minutes, { now, most: Math.min(60, width - 16) })],
  ];
  return ["", paint("bold", "The last hour"), ...factLines(facts)];
}

const LEVELS = "▁▂▃▄▅▆▇█";

/** The tasks that ended in each of the latest minutes, the present one last. */
function sparkOf(
  minutes: Stats["minutes"],
  { now, most }: { readonly now: number; readonly most: number },
): string {
  const endedAt = new Map(
    minutes.map(({ at, done, failed, cancelled }) => [Date.parse(at), done + failed + cancelled]),
  );
  const present = Math.floor(now / 60_000) * 60_000;
  const ends = Array.from(
    { length: Math.max(1, most) },
    (_, at) => endedAt.get(present - (most - 1 - at) * 60_000) ?? 0,
  );
  const peak = Math.max(...ends);
  if (peak === 0) return "";
  const levelOf = (count: number): string =>
    count === 0 ? " " : (LEVELS[Math.ceil((count / peak) * LEVELS.length) - 1] ?? "");
  return `${ends.map(levelOf).join("").trimStart()} up to ${peak}`;
}

type Table = { readonly columns: readonly Column[]; readonly rows: readonly (readonly Cell[])[] };

function typeTable({ types }: Stats, paint: Paint): Table {
  return {
    columns: [
      { title: "TYPE", least: 8 },
      ...STATUSES.map((status): Column => ({ title: status.toUpperCase(), align: "right" })),
    ],
    rows: types.map(({ type, counts }) => [
      { text: harmless(type) },
      ...STATUSES.map((status) => ({
        text: String(counts[status]),
        paint: (text: string) => paint(counts[status] === 0 ? "dim" : styleOf(status), text),
      })),
    ]),
  };
}

function workerTable({ workers }: Stats, now: number): Table {
  return {
    columns: [
      { title: "WORKER", least: 8 },
      { title: "TYPES", least: 8 },
      { title: "BUSY", align: "right" },
      { title: "SEEN", align: "right" },
      { title: "TASKS", least: 5, goes: 1 },
    ],
    rows: workers.map(({ worker, types, running, slots, tasks, seen_at, draining }) => [
      { text: harmless(worker) },
      { text: types.map(harmless).join(" ") },
      { text: `${running}/${slots}${draining ? " draining" : ""}` },
      { text: `${briefly(Math.max(0, now - Date.parse(seen_at)))} ago` },
      { text: tasks.join(" ") },
    ]),
  };
}

function section(
  what: string,
  { columns, rows }: Table,
  { width, paint }: { readonly width: number; readonly paint: Paint },
): string[] {
  if (rows.length === 0) return ["", paint("dim", `${what}: none`)];
  const layout = layOut(columns, rows, width);
  return ["", paint("bold", titleLine(layout)), ...rows.map((row) => rowLine(layout, row))];
}
