import type { Attempt, Explanation, LogLine, Task } from "../../client/types.ts";
import { valueAt } from "../../core/json-text.ts";
import { labelTexts } from "../../core/task.ts";
import { textOf } from "../answers.ts";
import { bar } from "./bar.ts";
import { type Fact, factLines, jsonLines } from "./facts.ts";
import { type Paint, styleOf } from "./paint.ts";
import { percentText, workedMs } from "./task-row.ts";
import { harmless, harmlessLines } from "./text.ts";
import { briefly, clockTime, timeWithDistance } from "./time.ts";

type How = { readonly now: number; readonly paint: Paint };

/** All fields of a task, for people. Fields with their usual value (no tags, no labels, no key, priority 0) are left out. */
export function taskLines(task: Task, { now, paint }: How): string[] {
  const text = textOf(task);
  const facts: Fact[] = [
    ["status", statusText(task, paint)],
    ["progress", progressText(task, paint)],
    ["error", failureText(task.error)],
    ["type", harmless(task.type)],
    ["description", task.description === "" ? null : harmlessLines(task.description)],
    ["tags", task.tags.map(harmless).join(", ")],
    ["labels", labelTexts(task.labels).map(harmless).join(", ")],
    ["key", task.key === null ? null : harmless(task.key)],
    ["priority", task.priority === 0 ? null : String(task.priority)],
    ["timeout", task.timeout],
    ["created", timeWithDistance(task.created_at, now)],
    ["due", wasDueLater(task) ? timeWithDistance(task.run_at, now) : null],
    ["started", task.started_at === null ? null : timeWithDistance(task.started_at, now)],
    ["finished", task.finished_at === null ? null : timeWithDistance(task.finished_at, now)],
    ["worked", task.attempt === 0 ? null : briefly(workedMs({ task, seenAt: now }, now))],
    ["attempts", task.attempts.map((attempt) => attemptLine(attempt, paint))],
    ["payload", jsonLines(valueAt(text, ["payload"]))],
    ["result", jsonLines(valueAt(text, ["result"]))],
  ];
  return [paint("bold", `Task ${task.id}  ${harmless(task.name)}`), ...factLines(facts)];
}

/** Whether it was due later than at its creation. The short delay of simulated tasks does not count. */
const wasDueLater = ({ run_at, created_at }: Task): boolean =>
  Date.parse(run_at) - Date.parse(created_at) > 1_500;

function statusText({ status, cancel_requested, attempt, max_attempts }: Task, paint: Paint): string {
  const stop = cancel_requested ? ", asked to stop" : "";
  const tries = attempt === 0 ? "" : ` (attempt ${attempt} of ${max_attempts})`;
  return paint(styleOf(status), status) + stop + tries;
}

function progressText({ progress }: Task, paint: Paint): string | null {
  if (progress === null) return null;
  const percent = percentText(progress.percent).trim();
  return `${paint("cyan", bar(progress.percent / 100, 32))} ${percent} ${harmless(progress.message)}`.trimEnd();
}

const failureText = (error: Task["error"]): string | null =>
  error === null
    ? null
    : [harmless(error.code), harmless(error.message)].filter((text) => text !== "").join(": ");

/** "1  2026-01-31 12:00:00Z  +3.2s  failed on worker-1: no such file" */
function attemptLine(
  { attempt, worker, started_at, finished_at, outcome, error }: Attempt,
  paint: Paint,
): string {
  const took = briefly(Date.parse(finished_at) - Date.parse(started_at));
  const why = failureText(error);
  const end = `${paint(styleOf(outcome), outcome)} on ${harmless(worker)}${why === null ? "" : `: ${why}`}`;
  return `${attempt}  ${clockTime(started_at)}  +${took.padEnd(6)}  ${end}`;
}

/** Why a task has its present status: the sentence, then the facts. */
export function explanationLines(explained: Explanation, { now, paint }: How): string[] {
  const { id, status, reason, message, position, workers, worker, lease_until } = explained;
  const facts: Fact[] = [
    ["status", paint(styleOf(status), status)],
    ["reason", harmless(reason)],
    [
      "position",
      position === null ? null : `${position} due ${position === 1 ? "task" : "tasks"} of its type before it`,
    ],
    ["due", timeWithDistance(explained.run_at, now)],
    ["attempt", explained.attempt === 0 ? null : String(explained.attempt)],
    ["worker", worker === null ? null : harmless(worker)],
    ["lease ends", lease_until === null ? null : timeWithDistance(lease_until, now)],
    ["workers", workers.length === 0 ? null : workers.map(harmless).join(", ")],
  ];
  return [`Task ${id}: ${harmless(message)}.`, ...factLines(facts)];
}

/** "2026-01-31 12:00:00Z warn  the disk is nearly full" */
export function logLine({ at, level, message }: LogLine, paint: Paint): string {
  const word = level.padEnd(5);
  const style = { debug: "dim", info: "cyan", warn: "yellow", error: "red" } as const;
  return `${paint("dim", clockTime(at))} ${paint(style[level], word)} ${harmless(message.replaceAll("\t", "  "))}`; // programs separate columns by tabs
}
