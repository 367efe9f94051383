/** Creates, steps and deletions, each a script. A call that would hold the server too long is sent in pieces. */

import { type DueTypes, dueTypes, isMadeDue, mayRevoke, NONE_DUE } from "../../core/due.ts";
import { expiresAt } from "../../core/lease.ts";
import { type Draft, isEnded, isLive, isRunning, type LightTask, type Task } from "../../core/task.ts";
import { textSize } from "../../core/text-size.ts";
import { pieces, writeInPieces } from "../pieces.ts";
import type {
  InsertAnswer,
  InsertRequest,
  OnceDocument,
  ReplaceAnswer,
  Step,
  Stepped,
  TaskRef,
} from "../store.ts";
import type { Connection } from "./connection.ts";
import { bodyOf, headOf, laneOf } from "./row.ts";
import { SCRIPTS } from "./scripts.ts";

/** On a busy machine of two cores 250 steps take the server 2 to 5 ms and 1,000 creates 5 to 10; the limit is 20. */
export const PIECE = { count: 250, bytes: 1_048_576 };
const CREATED_AT_ONCE = 1_000;

export type WritesSetup = {
  readonly connection: Connection;
  /** Names this store in messages to other processes. */
  readonly sender: string;
  /** Notifies this process's own watchers of a commit. */
  readonly notify: (due: DueTypes, mayRevoke?: boolean) => void;
};

export function createWrites({ connection, sender, notify }: WritesSetup) {
  // ---- insert

  /** Requests are not divided; requests of up to a thousand creates commit together. */
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
    const due = new Map<string, number>();
    const inserted = answers.map((answer, at) => insertAnswer(answer, requests[at]?.drafts ?? [], due));
    if (inserted.some((answer) => answer.kind === "created" && answer.tasks.some((task) => !task.existing))) {
      notify(due);
    }
    return inserted;
  }

  // ---- replace

  const replace = (steps: readonly Step[]): Promise<ReplaceAnswer[]> =>
    writeInPieces(pieces(steps, { ...PIECE, bytesOf: ({ to }) => textSize(to) }), replacePiece);

  async function replacePiece(steps: readonly Step[]): Promise<ReplaceAnswer[]> {
    const revokes = steps.some(({ from, to }) => mayRevoke(from, to));
    const args = [sender, revokes ? "r" : "-", ...stepArgs(steps)];
    const answers = (await connection.run(SCRIPTS.replace, args)) as ReplaceAnswer[]; // as replace.lua says
    if (answers.includes("ok")) {
      notify(dueTypes(steps.filter((_, at) => answers[at] === "ok").map(({ to }) => to)), revokes);
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
      pushDocument(args, once);
    }
    const answers = (await connection.run(SCRIPTS.remove, args)) as number[]; // as remove.lua says
    if (answers.includes(1)) notify(NONE_DUE, true);
    return answers.map((answer) => answer === 1);
  }

  return { insert, replace, remove };
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
    args.push(isMadeDue(draft) ? draft.type : "");
  }
}

function insertAnswer(answer: string, drafts: readonly Draft[], due: Map<string, number>): InsertAnswer {
  if (answer === "mismatch") return { kind: "mismatch" };
  // As insert.lua says.
  const [[kind], ...tasks] = JSON.parse(answer) as [["created" | "repeated"], ...[number, boolean][]];
  if (kind === "created") {
    for (const [at, draft] of drafts.entries())
      if (tasks[at]?.[1] === false && isMadeDue(draft)) due.set(draft.type, (due.get(draft.type) ?? 0) + 1);
  }
  return { kind, tasks: tasks.map(([id, existing]) => ({ id, existing })) };
}

type PlainStep = { readonly from: Stepped; readonly to: Stepped; readonly once?: OnceDocument };

/** Steps of one kind move their tasks in the same way and have the same arguments: most batches have one kind. */
type Kind = { readonly like: PlainStep; readonly isDue: boolean; readonly more: string };

/** As replace.lua says. */
function stepArgs(steps: readonly PlainStep[]): string[] {
  const kinds: Kind[] = [];
  const args: string[] = [];
  for (const step of steps) {
    const [more, extra] = extrasOf(step);
    const isDue = isMadeDue(step.to);
    let at = kinds.findIndex(
      (kind) => kind.isDue === isDue && kind.more === more && isAlike(kind.like, step),
    );
    if (at < 0) at = kinds.push({ like: step, isDue, more }) - 1;
    const { from, to } = step;
    args.push(String(at + 1), String(from.id), String(from.version), String(from.lease?.until ?? null));
    args.push(headOf(to), bodyOf(to), String(scoreOf(to)), String(to.version));
    if (more !== "") args.push(...extra);
  }
  const heads = kinds.flatMap(({ like: { from, to }, isDue, more }) => [
    ...[from.status, laneOf(from), to.status, laneOf(to), isDue ? to.type : "", more],
  ]);
  return [String(kinds.length), ...heads, ...args];
}

const isAlike = (a: PlainStep, b: PlainStep): boolean =>
  a.from.type === b.from.type &&
  a.from.priority === b.from.priority &&
  a.to.priority === b.to.priority &&
  a.from.status === b.from.status &&
  a.to.status === b.to.status;

/** The arguments that only some steps have, and their letters. A field that `to` does not have stays. */
function extrasOf({ from, to, once }: PlainStep): [more: string, extra: readonly string[]] {
  const keyMoves = to.key !== null && isLive(from) !== isLive(to);
  const changes = to.progress === from.progress ? undefined : changeOf(progressText(from), progressText(to));
  const payload = changeOf(from.payload, to.payload);
  const result = changeOf(from.result, to.result);
  if (
    !keyMoves &&
    changes === undefined &&
    payload === undefined &&
    result === undefined &&
    once === undefined
  ) {
    return NO_EXTRAS;
  }
  const extra: string[] = [];
  let more = "";
  if (changes !== undefined) more += push(extra, "g", changes);
  if (payload !== undefined) more += push(extra, "p", payload);
  if (result !== undefined) more += push(extra, "r", result);
  if (keyMoves) more += push(extra, "k", JSON.stringify(to.key), isLive(to) ? "enter" : "leave");
  if (once !== undefined)
    more += push(extra, "d", once.name, once.value, String(once.until), String(once.now));
  return [more, extra];
}

const NO_EXTRAS: [string, readonly string[]] = ["", []];

function push(extra: string[], letter: string, ...values: readonly string[]): string {
  extra.push(...values);
  return letter;
}

/** For a field with a hash of its own: the new value, "-" to delete it, which is not JSON, undefined to keep it. */
const changeOf = (from: string | null | undefined, to: string | null | undefined): string | undefined =>
  to === undefined || from === to ? undefined : (to ?? "-");

function pushDocument(args: string[], document: OnceDocument | undefined): void {
  if (document === undefined) args.push("", "", "", "");
  else args.push(document.name, document.value, String(document.until), String(document.now));
}

export const progressText = ({ progress }: Pick<Task, "progress">): string | null =>
  progress === null ? null : JSON.stringify({ percent: progress.percent, message: progress.message });

/** The score of the task in the sorted set of its status. */
export function scoreOf(task: LightTask): number {
  if (isEnded(task)) return task.finishedAt;
  return isRunning(task) ? expiresAt(task) : task.runAt;
}
