/** Claims and heartbeats. */
import { isTaskError } from "../../core/error.ts";
import { isCancelRequested } from "../../core/lease.ts";
import { claim as claimed, extend as extended } from "../../core/lifecycle.ts";
import type { RunningTask, Task } from "../../core/task.ts";
import { ANSWER_BYTES, textSize } from "../../core/text-size.ts";
import type { Ask, Beat, BeatAnswer, ClaimTerms } from "../store.ts";
import { firstOf, isDue, type Lane } from "./lanes.ts";
import type { StoreParts } from "./parts.ts";

export function createClaims({ rows, logs, publish }: Pick<StoreParts, "rows" | "logs" | "publish">) {
  function claim(asks: readonly Ask[], terms: ClaimTerms): RunningTask[][] {
    const given: RunningTask[] = [];
    let bytes = 0;
    const answers = asks.map((ask) => {
      const tasks: RunningTask[] = [];
      if (bytes >= ANSWER_BYTES) return tasks;
      const due = rows.lanes.due(ask.types, terms.now);
      for (let lane = due.first(); lane !== undefined && tasks.length < ask.max; lane = due.first()) {
        if (bytes >= ANSWER_BYTES) break;
        due.remove(lane);
        const task = claimFirst(lane, ask, terms);
        bytes += textSize(task);
        tasks.push(task);
        if (isDue(lane, terms.now)) due.add(lane);
      }
      given.push(...tasks);
      return tasks;
    });
    publish(given, "changed");
    return answers;
  }

  function claimFirst(lane: Lane, ask: Ask, { now, nonce }: ClaimTerms): RunningTask {
    const first = firstOf(lane);
    const task = claimed(first, { worker: ask.worker, leaseMs: ask.leaseMs, nonce }, now);
    rows.place(first, task);
    return task;
  }

  function extend(beats: readonly Beat[], now: number): BeatAnswer[] {
    const progressed: Task[] = [];
    const answers = beats.map((beat) => extendOne(beat, now, progressed));
    publish(progressed, "progress");
    return answers;
  }

  function extendOne(beat: Beat, now: number, progressed: Task[]): BeatAnswer {
    const from = rows.running.get(beat.id);
    const to = from === undefined ? null : tryExtend(from, beat, now);
    if (to === null) return "lost";
    rows.renew(to);
    logs.append(to.id, beat.log, now);
    if (beat.progress !== null && logs.isProgressDue(to.id, now)) progressed.push(to);
    return isCancelRequested(to) ? "cancel" : "ok";
  }

  return { claim, extend };
}

function tryExtend(task: RunningTask, beat: Beat, now: number): RunningTask | null {
  try {
    return extended(task, beat, now);
  } catch (error) {
    if (isTaskError(error, "lease_lost")) return null;
    throw error;
  }
}
