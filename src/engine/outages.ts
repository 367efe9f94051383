/**
 * The times during which workers could not reach the server. A lease that ran out means that its worker is dead only if the
 * worker could reach the server. It could not while this process did not run, while its rounds did not run or the store did not
 * answer, and in the time that the store's clock skipped when it was set. Each of these is an interval of the store's time. This
 * module keeps the intervals and compares them with leases.
 */
import { CANCEL_GRACE_MS, endsTooLate } from "../core/lease.ts";
import type { Lease } from "../core/task.ts";

export interface Outages {
  /** A round has just reached the store. */
  reached(round: Round): void;
  /** The store has written heartbeats, or has failed to. */
  heartbeatsWritten(isWritten: boolean): void;
  /**
   * Whether a task may be judged: its lease, or the grace of its cancel request, is over at this time, and its worker could reach
   * the server for long enough. Long enough is half of the length, up to now, without an interruption that matters; or the whole
   * length in total, since it began. The half applies after a start or a long outage: a live worker sends a heartbeat every third. The whole
   * applies in a process that is late at every round: it still finds dead workers.
   */
  mayJudge(lease: Lease, now: number): boolean;
  /** Whether other processes may still write overlong leases: the clock was set back a short while ago. */
  mayBeOverlong(at: number): boolean;
}

export type Round = {
  /** When the store's answer came; monotonic milliseconds. */
  readonly at: number;
  /** The same moment by the store's clock; epoch milliseconds. */
  readonly now: number;
  /** By how much the store's clock was set since the round before; negative if it was set back. */
  readonly setByMs: number;
  /** The latest due time of this round, counted from the round before; null for a round that is not scheduled. */
  readonly dueAfterMs: number | null;
};

/** An interval of the store's time; epoch milliseconds. */
type Outage = { readonly from: number; readonly to: number };

/** An outage shorter than this part of a lease is ignored: a worker sends a heartbeat every third and gives up a sixth before the end. */
const MATTERS_FROM = 1 / 10;
/**
 * Only the length of a gap between two rounds is known. The scheduled time between them is counted as reachable, but the server
 * may have been unreachable then.
 */
const UNSURE_MS = 1_200;
/** The time, somewhat longer than a round, during which other processes may still use the clock as it was before it was set. */
const NOTICED_BY_ALL_MS = 2_000;
/** How long this process looks for overlong leases of other processes that may have died. */
const OVERLONG_FOR_MS = 10_000;
/** The shortest lease is a second long, so a clock that is set back by less leaves no lease overlong. */
const SET_BACK_FROM_MS = 500;
/** Every late round adds an outage, so their number needs a bound. */
const KEPT = 64;

export function createOutages(openedAt: number): Outages {
  let outages: readonly Outage[] = []; // disjoint, in order of time
  let reachedAt: number | null = null;
  let beats = { written: 0, failed: 0 };
  let wereRefused = false; // whether, in the round before, heartbeats failed and none succeeded
  let setBackAt = Number.NEGATIVE_INFINITY; // by the store's clock as it is now set
  let overlongUntil = Number.NEGATIVE_INFINITY;

  function reached({ at, now, setByMs, dueAfterMs }: Round): void {
    if (outages.length === 0) open(now - (at - openedAt));
    if (setByMs < 0) setBack(setByMs, { at, now });
    if (dueAfterMs !== null) {
      noteGap(now - Math.max(0, setByMs), at, dueAfterMs);
      reachedAt = at;
    }
    if (setByMs > 0) addOutage({ from: now - setByMs, to: now + Math.min(setByMs, NOTICED_BY_ALL_MS) });
  }

  function open(startedAt: number): void {
    addOutage({ from: Number.NEGATIVE_INFINITY, to: startedAt });
    setBackAt = startedAt;
  }

  /** Past outages keep their distance from now. */
  function setBack(setByMs: number, { at, now }: Pick<Round, "at" | "now">): void {
    outages = outages.map(({ from, to }) => ({ from: from + setByMs, to: to + setByMs }));
    setBackAt += setByMs;
    if (setByMs > -SET_BACK_FROM_MS) return;
    setBackAt = now + NOTICED_BY_ALL_MS;
    overlongUntil = at + OVERLONG_FOR_MS;
  }

  /**
   * Adds an outage if a round comes late, or if no heartbeat succeeded since the last round. A worker whose heartbeat failed sends the next one
   * a second later, so there may be a round without one in between.
   */
  function noteGap(until: number, at: number, dueAfterMs: number): void {
    if (reachedAt !== null) {
      const areRefused = beats.failed > 0 && beats.written === 0;
      const noneWritten = areRefused || (wereRefused && beats.written === 0);
      const missedMs = at - reachedAt - (noneWritten ? 0 : dueAfterMs);
      addOutage({ from: until - missedMs, to: until });
      wereRefused = areRefused;
    }
    beats = { written: 0, failed: 0 };
  }

  function addOutage({ from, to }: Outage): void {
    const last = outages.at(-1);
    if (to <= from || (last !== undefined && to <= last.to)) return;
    if (last === undefined || from > last.to) outages = bounded([...outages, { from, to }]);
    else outages = [...outages.slice(0, -1), { from: last.from, to }];
  }

  /** How long workers could reach the server between these two moments. */
  function reachableMs(since: number, now: number): number {
    let ms = now - since;
    for (const { from, to } of outages) ms -= Math.max(0, Math.min(to, now) - Math.max(from, since));
    return ms;
  }

  function mayJudge({ until, leaseMs, revokeAt }: Lease, now: number): boolean {
    return isFair(until, leaseMs, now) || (revokeAt !== null && isFair(revokeAt, CANCEL_GRACE_MS, now));
  }

  /** Whether a time of this length, with this end, is over and gave the worker enough time to reach the server. */
  function isFair(end: number, lengthMs: number, now: number): boolean {
    if (endsTooLate(end, lengthMs, now)) return reachableMs(setBackAt, now) >= lengthMs / 2;
    if (end > now) return false;
    const latest = outages.findLast(({ from, to }) => to - from > lengthMs * MATTERS_FROM);
    if (latest === undefined || now - latest.to >= lengthMs / 2) return true;
    return reachableMs(end - lengthMs, now) >= lengthMs + UNSURE_MS;
  }

  return {
    reached,
    heartbeatsWritten: (isWritten) => {
      beats = isWritten ? { ...beats, written: beats.written + 1 } : { ...beats, failed: beats.failed + 1 };
    },
    mayJudge,
    mayBeOverlong: (at) => at < overlongUntil,
  };
}

/**
 * Forgets the oldest outage that is followed by one of the same length or more. The very first outage must be kept: it may be the time before
 * this process started, and a process that is late at each round adds a hundred short ones before half of a long lease has passed.
 */
function bounded(outages: readonly Outage[]): readonly Outage[] {
  if (outages.length <= KEPT) return outages;
  const outlasted = outages.findIndex((outage, at) => {
    const next = outages[at + 1];
    return next !== undefined && lengthOf(next) >= lengthOf(outage);
  });
  return outages.toSpliced(Math.max(outlasted, 0), 1);
}

const lengthOf = ({ from, to }: Outage): number => to - from;
