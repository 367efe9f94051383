/** The steps that change tasks, each a script. A call that would hold the server too long is sent in pieces. */

import { expiresAt } from "../../core/lease.ts";
import { isClaimable } from "../../core/lifecycle.ts";
import {
  type Draft,
  isEnded,
  isLive,
  isRunning,
  LIMITS,
  type LightTask,
  type RunningTask,
  type Task,
} from "../../core/task.ts";
import { ANSWER_BYTES, textSize } from "../../core/text-size.ts";
import { pieces, writeInPieces } from "../pieces.ts";
import {
  type Ask,
  type Beat,
  type BeatAnswer,
  type ClaimTerms,
  type InsertAnswer,
  type InsertRequest,
  type OnceNote,
  PROGRESS_CHANGE_EVERY_MS,
  type ReplaceAnswer,
  type Step,
  type Stepped,
  type TaskRef,
} from "../store.ts";
import type { Connection } from "./connection.ts";
import { bodyOf, headOf, laneOf, lanePrefixOf, type Row, taskOf } from "./row.ts";
import { SCRIPTS, type ScriptBounds } from "./scripts.ts";

/** On a busy machine of two cores 250 steps take the server 2 to 5 ms, 1,000 creates 5 to 10; nothing may take 20. */
const PIECE = { count: 250, bytes: 1_048_576 };
const CREATED_AT_ONCE = 1_000;

export type WritesSetup = {
  readonly connection: Connection;
  /** Names this store in the messages to others. */
  readonly sender: string;
  /** Tells this process's own watchers of a commit. */
  readonly ring: (due: readonly string[]) => void;
};

export function createWrites({ connection, sender, ring }: WritesSetup, bounds: ScriptBounds) {
  // ---- insert

  /** Requests are whole, and those that a thousand creates have room for commit together. */
  const insert = (requests: readonly InsertRequest[], now: number): Promise<InsertAnswer[]> =>
    writeInPieces(
      pieces(requests, {
        count: CREATED_AT_ONCE,
        bytes: 4 * PIECE.bytes,
        countOf: ({ drafts }) => Math.max(1, drafts.length),
        bytesOf: ({ drafts }) => drafts.reduce((bytes, draft) => bytes + textSize(draft), 0),
      }),
      (part) => insertPiece(part, now),
    );

  async function insertPiece(requests: readonly InsertRequest[], now: number): Promise<InsertAnswer[]> {
    const args = [String(now), sender, String(requests.length)];
    for (const request of requests) pushRequest(args, request);
    const answers = (await connection.run(SCRIPTS.insert, args)) as string[]; // one text each, as insert.lua says
    const due = new Set<string>();
    const told = answers.map((answer, at) => insertAnswer(answer, requests[at]?.drafts ?? [], due));
    if (told.some((answer) => answer.kind === "created" && answer.tasks.some((task) => !task.existing))) {
      ring([...due]);
    }
    return told;
  }

  // ---- claim

  async function claim(asks: readonly Ask[], terms: ClaimTerms): Promise<RunningTask[][]> {
    const answers: RunningTask[][] = asks.map(() => []);
    let [finished, bytes, place] = [0, 0, ""];
    while (finished < asks.length && bytes < ANSWER_BYTES) {
      const from = finished;
      const atMost = Math.min(PIECE.bytes, ANSWER_BYTES - bytes);
      const piece = await claimPiece(wanting(asks, answers, from), terms, { place, bytes: atMost }).catch(
        (error: unknown) => {
          // What earlier pieces have claimed is good; whoever asks again meets the error himself.
          if (answers.some((tasks) => tasks.length > 0)) return null;
          throw error;
        },
      );
      if (piece === null) break;
      for (const [at, tasks] of piece.given.entries()) nth(answers, from + at).push(...tasks);
      finished += piece.finished;
      bytes += piece.bytes;
      place = piece.place;
    }
    return answers;
  }

  /** @param from where the first ask goes on, as an earlier piece has answered, and how many bytes of tasks may come */
  async function claimPiece(
    asks: readonly Ask[],
    { now, nonce }: ClaimTerms,
    from: { readonly place: string; readonly bytes: number },
  ) {
    const args = [String(now), JSON.stringify(nonce).slice(1, -1), sender];
    args.push(String(PIECE.count), String(from.bytes), String(bounds.listed), String(bounds.looked));
    args.push(from.place, String(asks.length));
    for (const { worker, leaseMs, max, types } of asks) {
      args.push(JSON.stringify(worker), String(leaseMs), String(max), String(types.length));
      for (const type of types) args.push(lanePrefixOf(type));
    }
    // As claim.lua says.
    const [finished, counts, place, ...fields] = (await connection.run(SCRIPTS.claim, args)) as [
      number,
      string,
      string,
      ...string[],
    ];
    let [at, bytes] = [0, 0];
    const given = counts.split(" ").map((count) => {
      const tasks = Array.from({ length: Number(count) }, (_, n) => claimedTask(fields, at + n));
      at += tasks.length;
      for (const task of tasks) bytes += textSize(task);
      return tasks;
    });
    if (fields.length > 0) ring([]);
    return { finished, given, bytes, place };
  }

  // ---- extend

  const extend = (beats: readonly Beat[], now: number): Promise<BeatAnswer[]> =>
    writeInPieces(pieces(beats, { ...PIECE, bytesOf: beatBytes }), (part) => extendPiece(part, now));

  async function extendPiece(beats: readonly Beat[], now: number): Promise<BeatAnswer[]> {
    const args = [String(now), sender, String(PROGRESS_CHANGE_EVERY_MS), String(LIMITS.logLinesKept)];
    for (const { id, token, progress, log } of beats) {
      const lines = log.slice(-LIMITS.logLinesKept);
      args.push(String(id), JSON.stringify(token));
      args.push(
        progress === null ? "" : JSON.stringify({ percent: progress.percent, message: progress.message }),
      );
      args.push(String(log.length), String(lines.length));
      for (const { level, message } of lines)
        args.push(`${JSON.stringify(level)},${JSON.stringify(message)}`);
    }
    // As extend.lua says.
    const [told, ...answers] = (await connection.run(SCRIPTS.extend, args)) as [number, ...BeatAnswer[]];
    if (told > 0) ring([]);
    return answers;
  }

  // ---- replace

  const replace = (steps: readonly Step[]): Promise<ReplaceAnswer[]> =>
    writeInPieces(pieces(steps, { ...PIECE, bytesOf: ({ to }) => textSize(to) }), replacePiece);

  async function replacePiece(steps: readonly Step[]): Promise<ReplaceAnswer[]> {
    const args = [sender];
    for (const step of steps) pushStep(args, step);
    const answers = (await connection.run(SCRIPTS.replace, args)) as ReplaceAnswer[]; // as replace.lua says
    if (answers.includes("ok")) {
      ring(dueTypes(steps.filter((_, at) => answers[at] === "ok").map(({ to }) => to)));
    }
    return answers;
  }

  // ---- remove

  const remove = (refs: readonly TaskRef[]): Promise<boolean[]> =>
    writeInPieces(pieces(refs, { ...PIECE, bytesOf: () => 1 }), removePiece);

  async function removePiece(refs: readonly TaskRef[]): Promise<boolean[]> {
    const args = [sender];
    for (const { id, version, once } of refs) {
      args.push(String(id), version === undefined ? "" : String(version));
      pushNote(args, once);
    }
    const answers = (await connection.run(SCRIPTS.remove, args)) as number[]; // as remove.lua says
    if (answers.includes(1)) ring([]);
    return answers.map((answer) => answer === 1);
  }

  return { insert, claim, extend, replace, remove };
}

function pushRequest(args: string[], { drafts, idempotency }: InsertRequest): void {
  if (idempotency === null) args.push("", "", "0");
  else {
    const { scope, key, fingerprint, until } = idempotency;
    args.push(JSON.stringify([scope, key]), JSON.stringify(fingerprint), String(until));
  }
  args.push(String(drafts.length));
  for (const draft of drafts) {
    args.push(headOf(draft), bodyOf(draft), draft.payload ?? "");
    args.push(draft.key === null ? "" : JSON.stringify(draft.key), laneOf(draft), String(draft.runAt));
    args.push(isDue(draft) ? draft.type : "");
  }
}

function insertAnswer(answer: string, drafts: readonly Draft[], due: Set<string>): InsertAnswer {
  if (answer === "mismatch") return { kind: "mismatch" };
  // As insert.lua says.
  const [[kind], ...tasks] = JSON.parse(answer) as [["created" | "repeated"], ...[number, boolean][]];
  if (kind === "created") {
    for (const [at, draft] of drafts.entries())
      if (tasks[at]?.[1] === false && isDue(draft)) due.add(draft.type);
  }
  return { kind, tasks: tasks.map(([id, existing]) => ({ id, existing })) };
}

const ROW = 5;

function claimedTask(fields: readonly (string | null)[], at: number): RunningTask {
  const [id, head, body, payload, result] = fields.slice(at * ROW, at * ROW + ROW);
  const row = { head, body, progress: null, payload, result } as Row; // five fields a task, as claim.lua says
  return taskOf(Number(id), row) as RunningTask; // a claim has just made it run
}

/** For a field that lies apart: the new value, or that it stays ("=") or goes ("-"); neither is JSON. What `to` does not have stays. */
function changeOf(from: string | null | undefined, to: string | null | undefined): string {
  if (to === undefined || from === to) return "=";
  return to ?? "-";
}

function pushStep(
  args: string[],
  { from, to, once }: { readonly from: Stepped; readonly to: Stepped; readonly once?: OnceNote },
): void {
  args.push(String(from.id), String(from.version), String(from.lease?.until ?? null));
  args.push(headOf(to), bodyOf(to));
  args.push(to.progress === from.progress ? "=" : changeOf(progressText(from), progressText(to)));
  args.push(changeOf(from.payload, to.payload), changeOf(from.result, to.result));
  const keyMoves = to.key !== null && isLive(from) !== isLive(to);
  args.push(keyMoves ? JSON.stringify(to.key) : "", isLive(to) ? "enter" : "leave");
  args.push(from.status, laneOf(from), to.status, laneOf(to), String(scoreOf(to)));
  args.push(String(to.version), isDue(to) ? to.type : "");
  pushNote(args, once);
}

function pushNote(args: string[], note: OnceNote | undefined): void {
  if (note === undefined) args.push("", "", "", "");
  else args.push(note.name, note.value, String(note.until), String(note.now));
}

export const progressText = ({ progress }: Pick<Task, "progress">): string | null =>
  progress === null ? null : JSON.stringify({ percent: progress.percent, message: progress.message });

/** Where the task stands among those of its status. */
export function scoreOf(task: LightTask): number {
  if (isEnded(task)) return task.finishedAt;
  return isRunning(task) ? expiresAt(task) : task.runAt;
}

/** The next asks of a piece, for what they have not been given yet. */
const wanting = (asks: readonly Ask[], answers: readonly RunningTask[][], from: number): Ask[] =>
  asks
    .slice(from, from + PIECE.count)
    .map((ask, at) => ({ ...ask, max: ask.max - nth(answers, from + at).length }));

/** The list of an ask; there is one for each. */
const nth = (answers: readonly RunningTask[][], at: number): RunningTask[] => answers[at] as RunningTask[];

export const isDue = (task: LightTask): boolean => isClaimable(task, task.updatedAt);

export const dueTypes = (tasks: readonly LightTask[]): string[] => [
  ...new Set(tasks.filter(isDue).map(({ type }) => type)),
];

function beatBytes({ progress, log }: Beat): number {
  let bytes = 100 + (progress?.message.length ?? 0);
  for (const { message } of log) bytes += 20 + message.length;
  return bytes;
}
