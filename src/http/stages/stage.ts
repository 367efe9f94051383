import type { Call } from "../route.ts";

/**
 * A check of each request before its route runs. Returns the call, unchanged or with more known about it, or
 * throws a refusal.
 */
export type Stage = (call: Call) => Call | Promise<Call>;

/**
 * Runs the stages in their order. Not async: as long as no stage waits, a request costs no promise and no
 * further turn of the event loop.
 */
export function passStages(call: Call, stages: readonly Stage[], from = 0): Call | Promise<Call> {
  let passed = call;
  for (let at = from; ; at++) {
    const stage = stages[at];
    if (stage === undefined) return passed;
    const next = stage(passed);
    if (next instanceof Promise) return next.then((later) => passStages(later, stages, at + 1));
    passed = next;
  }
}
