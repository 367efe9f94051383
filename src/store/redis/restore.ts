/**
 * Restores tasks of another store unchanged. A script that made 500 tasks with a thousand log lines each would hold the server for
 * hundreds of milliseconds. So bodies and log lines are sent first, in pieces, and one last script makes tasks of them, all or none.
 * Until then no task is visible: every read begins at the heads, and only that script writes them. If it never runs, the pieces
 * stay under ids that are never assigned, and the same call deletes them when it is repeated.
 */
import { dueTypes, isMadeDue } from "../../core/due.ts";
import { isLive, type LogLine, type TaskId } from "../../core/task.ts";
import { textSize } from "../../core/text-size.ts";
import { pieces } from "../pieces.ts";
import { restoredKeyTaken } from "../refusals.ts";
import type { TaskRecord } from "../store.ts";
import { unavailable } from "./link.ts";
import { bodyOf, headOf, laneOf } from "./row.ts";
import { SCRIPTS } from "./scripts.ts";
import { progressText, scoreOf, type WritesSetup } from "./writes.ts";

const BODIES = { count: 250, bytes: 1_048_576 };
const LINES = { count: 2_000, bytes: 1_048_576 };
/** A piece of one log; a script takes several pieces. */
const LOG_PIECE = { count: 500, bytes: 262_144 };

type LogPiece = { readonly id: TaskId; readonly lines: readonly string[] };

export function createRestore({ connection, sender, notify }: WritesSetup) {
  async function restore(records: readonly TaskRecord[]): Promise<number> {
    const missing: TaskRecord[] = [];
    for (const piece of pieces(records, { ...BODIES, bytesOf: ({ task }) => textSize(task) })) {
      missing.push(...(await bringBodies(piece)));
    }
    const countOf = ({ lines }: LogPiece): number => lines.length;
    for (const piece of pieces(missing.flatMap(logPieces), { ...LINES, countOf, bytesOf: bytesOfPiece })) {
      await bringLogs(piece);
    }
    return missing.length === 0 ? 0 : take(missing);
  }

  /** Sends the bodies; returns the records with ids that are not in this store. */
  async function bringBodies(records: readonly TaskRecord[]): Promise<TaskRecord[]> {
    const args = records.flatMap(({ task }) => [
      String(task.id),
      bodyOf(task),
      progressText(task) ?? "",
      task.payload ?? "",
      task.result ?? "",
    ]);
    const answers = (await connection.run(SCRIPTS.restoreBodies, args)) as number[]; // as restore_bodies.lua says
    return records.filter((_, at) => answers[at] === 1);
  }

  async function bringLogs(logs: readonly LogPiece[]): Promise<void> {
    const args: string[] = [];
    for (const { id, lines } of logs) args.push(String(id), String(lines.length), ...lines);
    await connection.run(SCRIPTS.restoreLogs, args);
  }

  async function take(records: readonly TaskRecord[]): Promise<number> {
    const args = [sender];
    for (const record of records) pushRecord(args, record);
    const answer = (await connection.run(SCRIPTS.restore, args)) as number | string; // as restore.lua says
    if (answer === "key_taken") throw restoredKeyTaken();
    if (answer === "lost") throw unavailable("Redis has lost a part of the restored tasks");
    if (Number(answer) > 0) notify(dueTypes(records.map(({ task }) => task)));
    return Number(answer);
  }

  return restore;
}

function pushRecord(args: string[], { task, log }: TaskRecord): void {
  args.push(String(task.id), headOf(task));
  args.push(task.key !== null && isLive(task) ? JSON.stringify(task.key) : "");
  args.push(task.status, laneOf(task), String(scoreOf(task)), String(task.version));
  args.push(String(log.length), String(log.at(-1)?.n ?? 0), isMadeDue(task) ? task.type : "");
}

const logPieces = ({ task: { id }, log }: TaskRecord): LogPiece[] =>
  pieces(log.map(lineText), { ...LOG_PIECE, bytesOf: ({ length }) => length }).map((lines) => ({
    id,
    lines,
  }));

/** As extend.lua writes it. */
const lineText = ({ at, level, message }: LogLine): string =>
  `[${at},${JSON.stringify(level)},${JSON.stringify(message)}]`;

const bytesOfPiece = ({ lines }: LogPiece): number => lines.reduce((bytes, { length }) => bytes + length, 0);
