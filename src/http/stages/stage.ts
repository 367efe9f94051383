import type { Call } from "../route.ts";

/**
 * A check that every request passes before its route runs. It passes the call on, unchanged or with more known about it, or throws
 * a refusal.
 */
export type Stage = (call: Call) => Call | Promise<Call>;

/**
 * Passes a call through stages in their order. Not an async function: as long as no stage waits, a request costs no promise and no
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
