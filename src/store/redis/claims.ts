/** Claims and heartbeats. A call that would hold the server too long is sent in pieces. */
import { NONE_DUE } from "../../core/due.ts";
import { LIMITS, type RunningTask, type TaskId } from "../../core/task.ts";
import { ANSWER_BYTES } from "../../core/text-size.ts";
import { pieces, writeInPieces } from "../pieces.ts";
import { type Ask, type Beat, type BeatAnswer, type ClaimTerms, PROGRESS_CHANGE_EVERY_MS } from "../store.ts";
import { type ClaimedValues, claimedTaskOf, lanePrefixOf } from "./row.ts";
import { SCRIPTS, type ScriptBounds } from "./scripts.ts";
import { PIECE, progressText, type WritesSetup } from "./writes.ts";

export function createClaims({ connection, sender, notify }: WritesSetup, bounds: ScriptBounds) {
  async function claim(asks: readonly Ask[], terms: ClaimTerms): Promise<RunningTask[][]> {
    const answers: RunningTask[][] = asks.map(() => []);
    let [finished, bytes, place] = [0, 0, ""];
    while (finished < asks.length && bytes < ANSWER_BYTES) {
      const from = finished;
      const atMost = Math.min(PIECE.bytes, ANSWER_BYTES - bytes);
      const piece = await claimPiece(wanting(asks, answers, from), terms, { place, bytes: atMost }).catch(
        (error: unknown) => {
          // The tasks of earlier pieces are claimed; the next call meets the error.
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

  /** @param from where the first ask continues, as an earlier piece has answered, and the highest number of bytes of tasks */
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
    const [finished, counts, place, bytes, tasks, ...texts] = (await connection.run(SCRIPTS.claim, args)) as [
      number,
      string,
      string,
      number,
      string,
      ...Texts,
    ];
    const claimed = JSON.parse(tasks) as ClaimedValues[];
    if (claimed.length > 0) notify(NONE_DUE);
    const textsOf = createTexts(texts);
    let at = 0;
    const given = counts.split(" ").map((count, ask) => {
      const sets = { now, nonce, ...nth(asks, ask) };
      const from = at;
      at += Number(count);
      return claimed.slice(from, at).map((values) => claimedTaskOf(values, sets, ...textsOf(values[0])));
    });
    return { finished, given, bytes, place };
  }

  const extend = (beats: readonly Beat[], now: number): Promise<BeatAnswer[]> =>
    writeInPieces(pieces(beats, { ...PIECE, bytesOf: beatBytes }), (part) => extendPiece(part, now));

  async function extendPiece(beats: readonly Beat[], now: number): Promise<BeatAnswer[]> {
    const args = [String(now), sender, String(PROGRESS_CHANGE_EVERY_MS), String(LIMITS.logLinesKept)];
    for (const { id, token, progress, log } of beats) {
      const lines = log.slice(-LIMITS.logLinesKept);
      args.push(String(id), JSON.stringify(token));
      args.push(progressText({ progress }) ?? "");
      args.push(String(log.length), String(lines.length));
      for (const { level, message } of lines)
        args.push(`${JSON.stringify(level)},${JSON.stringify(message)}`);
    }
    // As extend.lua says.
    const [changes, ...answers] = (await connection.run(SCRIPTS.extend, args)) as [number, ...BeatAnswer[]];
    if (changes > 0) notify(NONE_DUE);
    return answers;
  }

  return { claim, extend };
}

/** Id, payload and result of each task that has one of the two. */
type Texts = (string | null)[];

const NO_TEXTS = [null, null] as const;

function createTexts(texts: Texts): (id: TaskId) => readonly [payload: string | null, result: string | null] {
  const byId = new Map<TaskId, readonly [string | null, string | null]>();
  for (let at = 0; at < texts.length; at += 3) {
    byId.set(Number(texts[at]), [texts[at + 1] ?? null, texts[at + 2] ?? null]);
  }
  return (id) => byId.get(id) ?? NO_TEXTS;
}

/** The asks of the next piece, each for the tasks that it still lacks. */
const wanting = (asks: readonly Ask[], answers: readonly RunningTask[][], from: number): Ask[] =>
  asks
    .slice(from, from + PIECE.count)
    .map((ask, at) => ({ ...ask, max: ask.max - nth(answers, from + at).length }));

/** There is one for each ask. */
const nth = <T>(ofAsks: readonly T[], at: number): T => ofAsks[at] as T;

function beatBytes({ progress, log }: Beat): number {
  let bytes = 100 + (progress?.message.length ?? 0);
  for (const { message } of log) bytes += 20 + message.length;
  return bytes;
}
