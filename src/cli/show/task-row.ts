/** A task on one line: as a row of a table, or as a sentence. */
import type { TaskState } from "../../client/types.ts";
import { bar } from "./bar.ts";
import { type Paint, styleOf } from "./paint.ts";
import type { Cell, Column } from "./table.ts";
import { cutTo, harmless, widthOf } from "./text.ts";
import { briefly, wireMs } from "./time.ts";

/** A task, and when its state was received: a running task has continued since. Times are of this machine, in milliseconds. */
export type Seen = { readonly task: TaskState; readonly seenAt: number };

export const TASK_COLUMNS: readonly Column[] = [
  { title: "ID", align: "right" },
  { title: "STATUS" },
  { title: "TYPE", least: 8, goes: 4 },
  { title: "NAME", least: 8 },
  { title: "AGE", align: "right", goes: 2 },
  { title: "RAN", align: "right", goes: 3 },
  { title: "TRY", align: "right", goes: 1 },
  { title: "PROGRESS", least: 9, goes: 5 },
];

export function taskRow(
  { task, seenAt }: Seen,
  { now, paint }: { readonly now: number; readonly paint: Paint },
): Cell[] {
  const { id, status, type, name, created_at, attempt, max_attempts } = task;
  return [
    { text: String(id) },
    { text: status, paint: (text) => paint(styleOf(status), text) },
    { text: harmless(type) },
    { text: harmless(name) },
    { text: briefly(now - Date.parse(created_at)) },
    { text: attempt === 0 ? "" : briefly(workedMs({ task, seenAt }, now)) },
    { text: attempt === 0 ? "" : `${attempt}/${max_attempts}` },
    { text: noteOf(task, now), paint: task.status === "running" ? undefined : (text) => paint("dim", text) },
  ];
}

/** The duration of all attempts together. */
export const workedMs = ({ task, seenAt }: Seen, now: number): number =>
  wireMs(task.duration) + (task.status === "running" ? Math.max(0, now - seenAt) : 0);

const BAR_WIDTH = 12;
const LONGEST_BAR = 32;

/** A note on the state in addition to the status. */
function noteOf(task: TaskState, now: number): string {
  switch (task.status) {
    case "running":
      return runningNote(task);
    case "pending": {
      const leftMs = Date.parse(task.run_at) - now;
      return leftMs > 0 ? `due in ${briefly(leftMs)}` : "";
    }
    case "failed":
      return harmless(task.error?.message || task.error?.code || "");
    case "done":
    case "cancelled":
      return "";
    default:
      return task.status satisfies never;
  }
}

function runningNote({ cancel_requested, progress }: TaskState): string {
  const words = cancel_requested ? "asked to stop" : harmless(progress?.message ?? "");
  if (progress === null) return words;
  return `${percentText(progress.percent)} ${bar(progress.percent / 100, BAR_WIDTH)} ${words}`.trimEnd();
}

export const percentText = (percent: number): string => `${Math.floor(percent)}%`.padStart(4);

/** "Task 7 failed in 3.2s: no such file" */
export function taskSentence(
  { task, seenAt }: Seen,
  { now, paint }: { readonly now: number; readonly paint: Paint },
): string {
  const { id, status, progress, error, attempt, max_attempts } = task;
  const head = `Task ${id} ${paint(styleOf(status), status)}`;
  switch (status) {
    case "running": {
      const how =
        progress === null ? "" : ` ${percentText(progress.percent).trim()} ${harmless(progress.message)}`;
      return `${head}${how.trimEnd()}${task.cancel_requested ? ", asked to stop" : ""}${tryOf(task)}`;
    }
    case "pending": {
      const leftMs = Date.parse(task.run_at) - now;
      const again = attempt > 0 && error !== null ? ` after ${attempt} of ${max_attempts} attempts` : "";
      const why = again === "" ? "" : `: ${harmless(error?.message || error?.code || "")}`;
      return `${head}${leftMs > 0 ? `, due in ${briefly(leftMs)}` : ""}${again}${why}`;
    }
    case "failed":
      return `${head} in ${briefly(workedMs({ task, seenAt }, now))}: ${harmless(error?.message || error?.code || "no reason was given")}`;
    case "done":
    case "cancelled":
      return `${head}${attempt === 0 ? "" : ` in ${briefly(workedMs({ task, seenAt }, now))}`}`;
    default:
      return status satisfies never;
  }
}

const tryOf = ({ attempt }: TaskState): string => (attempt > 1 ? `, attempt ${attempt}` : "");

/** The progress of a task on one line of at most this width. */
export function progressLine(
  seen: Seen,
  { now, width, paint }: { readonly now: number; readonly width: number; readonly paint: Paint },
): string {
  const { task } = seen;
  if (task.status !== "running") return cutTo(taskSentence(seen, { now, paint }), width);
  const percent = task.progress?.percent ?? 0;
  const words = task.cancel_requested ? "asked to stop" : harmless(task.progress?.message ?? "");
  const ran = briefly(workedMs(seen, now));
  const tail = `${percentText(percent)} ${ran}${tryOf(task)}${words === "" ? "" : ` ${words}`}`;
  const head = `Task ${task.id} `;
  const drawn = bar(percent / 100, Math.min(LONGEST_BAR, width - widthOf(head) - widthOf(tail) - 1));
  return cutTo(`${head}${drawn === "" ? "" : `${paint("cyan", drawn)} `}${tail}`, width);
}
